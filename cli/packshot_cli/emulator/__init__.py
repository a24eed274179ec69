"""An emulator of Segmind's API for one model: what the contract says, with a switch where it says nothing."""
