"""The `packshot` command: the arguments of each subcommand; the work is in the module it then imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from packshot_cli.trades import Trade

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
local = typer.Typer(no_args_is_help=True, help="The local cloud: the real template on this machine.")
app.add_typer(local, name="local")


@app.callback()
def packshot() -> None:
    """Product photos into lifestyle scenes."""


@app.command()
def demo(
    photos: Annotated[str | None, typer.Option(help="A folder; five sample photos by default.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=600, help="The emulator's time for an image; 5 by default.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="The real model, paid: needs SEGMIND_API_KEY.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the images and the page go.")] = Path(".packshot/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the local cloud running until Ctrl-C.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --live: do not ask before paying.")] = False,
) -> None:
    """See photos become scenes on this machine, in the real stack."""
    from packshot_cli.demo import run

    run(photos=photos, seconds=seconds, live=live, output=output, keep=keep, yes=yes)


@app.command()
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0 picks a free one.")] = 8766,
    seconds: Annotated[float | None, typer.Option(help="Median job time; 20.3 by default.")] = None,
    sigma: Annotated[float | None, typer.Option(help="Of the lognormal job time; 0 by default.")] = None,
    api_key: Annotated[str | None, typer.Option(help="The one valid key; any by default.")] = None,
    credits_usd: Annotated[float | None, typer.Option("--credits", help="Balance; 100 by default.")] = None,
    price_usd: Annotated[
        float | None, typer.Option("--price", help="Of an image; 0.0891 by default.")
    ] = None,
    random_seed: Annotated[int | None, typer.Option("--seed", help="Of all that is drawn by chance.")] = None,
    requests_a_minute: Annotated[int | None, typer.Option(help="Rate limit; none by default.")] = None,
    faults: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Fault rules, as JSON.")
    ] = None,
    switches: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; repeatable.")
    ] = None,
) -> None:
    """Segmind's API for one model, on this machine: real states and times, emulated pictures."""
    from packshot_cli.emulator.command import run

    run(
        port,
        {
            "seconds": seconds,
            "sigma": sigma,
            "api_key": api_key,
            "credits_usd": credits_usd,
            "price_usd": price_usd,
            "random_seed": random_seed,
            "requests_a_minute": requests_a_minute,
        },
        switches or [],
        faults,
    )


PARAMETERS = typer.Option(metavar="NAME=VALUE", help="A parameter of the stack; repeatable.")
ROOT = typer.Option(help="The folder that stands for the bucket; the path itself by default.")
STACK = typer.Option(help="A deployed stack, whose parameters count; the template's defaults otherwise.")
DEPLOYED_STACK = typer.Option(help="Its name; samconfig.toml's, or packshot, by default.")
REGION = typer.Option(help="Of the stack; as AWS's own environment says.")
PROFILE = typer.Option(help="Of AWS; as AWS's own environment says.")


@app.command()
def explain(
    path: Annotated[str, typer.Argument(metavar="PATH|s3://BUCKET/PREFIX", help="Photos, or one of them.")],
    root: Annotated[Path | None, ROOT] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for machines.")] = False,
    bucket: Annotated[
        str | None, typer.Option(help="Where it will be uploaded: seeds that are drawn follow from it.")
    ] = None,
    param: Annotated[list[str] | None, PARAMETERS] = None,
    stack: Annotated[str | None, STACK] = None,
    region: Annotated[str | None, REGION] = None,
    profile: Annotated[str | None, PROFILE] = None,
) -> None:
    """Tell what photos would become, which file says so, and the price. 2 if any would be rejected."""
    from packshot_cli.explain import Account, run

    account = Account(stack, region, profile)
    run(path=path, root=root, parameters=param or [], account=account, bucket=bucket, as_json=as_json)


@app.command("try")
def try_(
    photo: Annotated[Path, typer.Argument(help="A photo on this machine.")],
    scene: Annotated[str | None, typer.Option(help="Which of its scenes; the only one by default.")] = None,
    root: Annotated[Path | None, ROOT] = None,
    bucket: Annotated[
        str | None, typer.Option(help="Where it will be uploaded: a seed that is drawn is the stack's, then.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the image goes; PHOTO-SCENE here by default.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="The real model, paid: needs SEGMIND_API_KEY. Asks first.")
    ] = False,
    param: Annotated[list[str] | None, PARAMETERS] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --live: do not ask before paying.")] = False,
) -> None:
    """Make one image now, and tell its seconds and its cost; with an emulated Segmind unless --live."""
    from packshot_cli.trying import run

    run(
        photo=photo,
        scene=scene,
        root=root,
        bucket=bucket,
        parameters=param or [],
        output=output,
        live=live,
        force=force,
        yes=yes,
    )


@app.command()
def upload(
    path: Annotated[Path, typer.Argument(help="A folder of photos, or one of them.")],
    root: Annotated[Path | None, ROOT] = None,
    only_accepted: Annotated[
        bool, typer.Option("--only-accepted", help="Leave out what would be rejected.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before what will be paid.")] = False,
    stack: Annotated[str | None, DEPLOYED_STACK] = None,
    region: Annotated[str | None, REGION] = None,
    profile: Annotated[str | None, PROFILE] = None,
) -> None:
    """Send photos to a deployed stack: images that go along and scenes files first. Tells the price."""
    from packshot_cli.explain import Account
    from packshot_cli.uploading import run

    account = Account(stack, region, profile)
    run(path=path, root=root, account=account, only_accepted=only_accepted, yes=yes)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Of photos, on this machine; made when it is not there.")],
    trades: Annotated[
        list[Trade] | None,
        typer.Option("--for", metavar="TRADE", help=f"Only its scene; repeatable: {', '.join(Trade)}."),
    ] = None,
) -> None:
    """Write a scenes file to begin with into a folder, and the schema that editors check it by."""
    from packshot_cli.init import run

    run(folder, trades or [])


@app.command()
def redrive(
    job: Annotated[list[str] | None, typer.Option(metavar="ID", help="This job; repeatable.")] = None,
    state: Annotated[
        Literal["FAILED", "REJECTED", "UNCERTAIN"] | None, typer.Option(help="Every job in this state.")
    ] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="The messages that nobody could work on.")
    ] = False,
    pay_again: Annotated[
        bool, typer.Option("--pay-again", help="Post again what may have been charged, too. Asks first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --pay-again: do not ask before paying.")] = False,
    stack: Annotated[str | None, DEPLOYED_STACK] = None,
    region: Annotated[str | None, REGION] = None,
    profile: Annotated[str | None, PROFILE] = None,
) -> None:
    """Do again what ended badly in a deployed stack, from where that costs the least.

    What was made is fetched, what was never charged is posted again, what was never sent is sent again.
    """
    from packshot_cli.redrive import run

    run(
        jobs=job or [],
        state=state,
        dead_letters=dead_letters,
        pay_again=pay_again,
        dry_run=dry_run,
        yes=yes,
        stack=stack,
        region=region,
        profile=profile,
    )


@app.command()
def smoke(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before paying for the image.")] = False,
    stack: Annotated[str | None, DEPLOYED_STACK] = None,
    region: Annotated[str | None, REGION] = None,
    profile: Annotated[str | None, PROFILE] = None,
) -> None:
    """Send one photo through a deployed stack, look at what comes of it, and clean up. Tells the price."""
    from packshot_cli.smoke import run

    run(stack=stack, region=region, profile=profile, yes=yes)


@app.command()
def probe(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before paying.")] = False,
    segmind_url: Annotated[str, typer.Option(help="The API.")] = "https://api.segmind.com",
    history_url: Annotated[
        str | None, typer.Option(help="The request history, to be asked too: the key goes there.")
    ] = None,
) -> None:
    """Ask Segmind, and the emulator, what nobody could find out without a key, for $0.36 at most."""
    from packshot_cli.probe import run

    run(segmind_url=segmind_url, history_url=history_url, yes=yes)


@app.command()
def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the stack's name first.")] = False,
    stack: Annotated[str | None, DEPLOYED_STACK] = None,
    region: Annotated[str | None, REGION] = None,
    profile: Annotated[str | None, PROFILE] = None,
) -> None:
    """Delete a deployed stack with all photos, images and records in it, which deleting a stack keeps."""
    from packshot_cli.destroy import run

    run(stack=stack, region=region, profile=profile, yes=yes)


@local.command()
def up(
    segmind_url: Annotated[
        str | None, typer.Option(help="Segmind's API; its emulator is started by default.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="SEGMIND_API_KEY", help="For the stack's secret.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the cloud; any free one by default.")
    ] = None,
    wait_scale: Annotated[float, typer.Option(min=0, help="Multiplies the workflow's waits.")] = 1.0,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the stack; repeatable.")
    ] = None,
) -> None:
    """Start the local cloud, print how to reach it as one JSON object, and stay until it is stopped.

    Uploads are not held back there: --param SettleSeconds=10 does it as on AWS.
    """
    from packshot_cli.local_up import run

    run(segmind_url, api_key, port, wait_scale, param or [])
