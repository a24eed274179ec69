"""Render the sample packshots: procedural products in a virtual photo studio, path-traced with Cycles.

Needs Python 3.11 with bpy 5.0.0 and Pillow (README.md beside this file has the exact versions). Nothing is
downloaded or read from disk: every shape, texture and label is made here. Each product stands on the floor
(z = 0) at the origin, faces the camera (-y), and spans about two units, so that one studio fits all of them.
"""

import argparse
import io
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Vector
from mathutils import noise as perlin
from PIL import Image, ImageDraw, ImageFont

PHOTOS = Path(__file__).parent / "photos"
SIZE_PIXELS = 1024
MAX_BYTES = 200_000
SEED = 7

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Shot:
    """Where the camera stands, in degrees, and the share of the frame that the longer side fills."""

    azimuth: float
    elevation: float
    fill: float


# --- Materials ----------------------------------------------------------------------------------------------


def linear(hex_colour: str) -> tuple[float, float, float, float]:
    """'#rrggbb' in sRGB as linear RGBA."""
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return (*(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels), 1.0)


class Field:
    """A number, colour or direction that varies over a surface: a shader node's output, with arithmetic."""

    def __init__(self, tree, socket):
        self.tree, self.socket = tree, socket

    def math(self, operation: str, *others) -> "Field":
        return node(self.tree, "Math", dict(enumerate((self, *others))), operation=operation)

    def __add__(self, other):
        return self.math("ADD", other)

    def __sub__(self, other):
        return self.math("SUBTRACT", other)

    def __rsub__(self, other):
        return self * -1.0 + other

    def __mul__(self, other):
        return self.math("MULTIPLY", other)

    def __truediv__(self, other):
        return self.math("DIVIDE", other)

    def __lt__(self, other):
        return self.math("LESS_THAN", other)

    def ramp(self, low: float, high: float) -> "Field":
        """Map low..high to 0..1, clamped; low may lie above high."""
        return node(self.tree, "MapRange", {"Value": self, "From Min": low, "From Max": high}, clamp=True)

    def mix(self, nought, one) -> "Field":
        """A colour between two, by this factor: colours are '#rrggbb' or fields."""
        colours = {6: nought, 7: one}
        inputs = {i: linear(colour) if isinstance(colour, str) else colour for i, colour in colours.items()}
        return node(self.tree, "Mix", {0: self, **inputs}, output=2, data_type="RGBA")


def node(tree, kind: str, inputs: dict | None = None, output: int | str = 0, **properties) -> Field:
    """Add a shader node and return one of its outputs; each input is a value or a field."""
    made = tree.nodes.new(f"ShaderNode{kind}")
    for name, value in properties.items():
        setattr(made, name, value)
    for name, value in (inputs or {}).items():
        if isinstance(value, Field):
            tree.links.new(value.socket, made.inputs[name])
        else:
            made.inputs[name].default_value = value
    return Field(tree, made.outputs[output])


def position(tree, scale: Point = (1.0, 1.0, 1.0)) -> Field:
    coordinates = node(tree, "TexCoord", output="Object")
    return node(tree, "Mapping", {"Vector": coordinates, "Scale": scale})


def axes(tree) -> list[Field]:
    """The object coordinates x, y and z."""
    return [node(tree, "SeparateXYZ", {"Vector": position(tree)}, output=axis) for axis in range(3)]


def noise(tree, scale: float, detail: float = 4.0, stretch: Point = (1.0, 1.0, 1.0)) -> Field:
    return node(tree, "TexNoise", {"Vector": position(tree, stretch), "Scale": scale, "Detail": detail})


def bump(height: Field, distance: float, strength: float, below: Field | None = None) -> Field:
    """A normal that follows a height, on top of another normal if there is one below."""
    inputs = {"Height": height, "Distance": distance, "Strength": strength}
    return node(height.tree, "Bump", inputs | ({} if below is None else {"Normal": below}))


def printed(image, u: Field, v: Field) -> Field:
    """The ink coverage (0..1) of a label image laid over the coordinates u, v (0..1, nothing outside)."""
    place_on_image = node(u.tree, "CombineXYZ", {"X": u, "Y": v})
    return node(u.tree, "TexImage", {"Vector": place_on_image}, image=image, extension="CLIP")


def material(name: str, colour: str, roughness: float, **inputs):
    """A Principled BSDF; further inputs by their name, with underscores for spaces."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    principled = made.node_tree.nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = linear(colour)
    principled.inputs["Roughness"].default_value = roughness
    for key, value in inputs.items():
        principled.inputs[key.replace("_", " ")].default_value = value
    return made


def drive(made, **fields: Field) -> None:
    """Feed inputs of a material's Principled BSDF from fields."""
    principled = made.node_tree.nodes["Principled BSDF"]
    for key, field in fields.items():
        made.node_tree.links.new(field.socket, principled.inputs[key.replace("_", " ")])


def surface(name: str, shader: Callable[..., Field]):
    """A material that is one shader alone, made by a function of the node tree."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.remove(tree.nodes["Principled BSDF"])
    tree.links.new(shader(tree).socket, tree.nodes["Material Output"].inputs["Surface"])
    return made


def label(name: str, size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw], None]):
    """A black-and-white label drawn with Pillow, white where the ink goes, as an image for shaders."""
    canvas = Image.new("L", size, 0)
    draw(ImageDraw.Draw(canvas))
    grey = np.flipud(np.asarray(canvas, dtype=np.float32) / 255)
    made = bpy.data.images.new(name, *size, is_data=True)
    made.pixels.foreach_set(np.stack([grey, grey, grey, np.ones_like(grey)], axis=-1).ravel())
    made.pack()
    return made


def spaced_text(
    draw: ImageDraw.ImageDraw, centre: tuple, text: str, size: int, spacing: float, bold: int = 0
):
    """Draw letter-spaced text, centred, in the typeface that comes with Pillow."""
    font = ImageFont.load_default(size)
    widths = [draw.textlength(letter, font=font) for letter in text]
    x = centre[0] - (sum(widths) + spacing * (len(text) - 1)) / 2
    for letter, width in zip(text, widths, strict=True):
        draw.text((x, centre[1]), letter, fill=255, font=font, anchor="lm", stroke_width=bold)
        x += width + spacing


def brass():
    return material("brass", "#c9a15a", 0.24, Metallic=1.0)


def fabric(name: str, dark: str, light: str, weave: float = 260.0, relief: float = 0.004):
    """Woven upholstery: two yarn colours, a thread relief and a soft sheen at grazing angles."""
    made = material(name, dark, 0.95, Sheen_Weight=0.35, Sheen_Roughness=0.5, Specular_IOR_Level=0.15)
    tree = made.node_tree
    threads = (noise(tree, weave, 2.0, (1.0, 0.25, 0.25)) + noise(tree, weave, 2.0, (0.25, 1.0, 1.0))) * 0.5
    yarn = threads * 0.8 + noise(tree, 5.0, 3.0) * 0.2
    drive(made, Base_Color=yarn.ramp(0.38, 0.62).mix(dark, light), Normal=bump(threads, relief, 0.8))
    return made


def oak():
    made = material("oak", "#b98a58", 0.45)
    drive(made, Base_Color=noise(made.node_tree, 30.0, 6.0, (4.0, 4.0, 0.25)).mix("#8f6238", "#cfa271"))
    return made


def stoneware(radius: float, height: float):
    """Teal glaze outside with a printed mark, cream inside, brown at the lip, bare clay at the foot."""

    def mark(draw: ImageDraw.ImageDraw) -> None:
        draw.rounded_rectangle((330, 60, 570, 300), 28, outline=255, width=16)
        draw.polygon([(330, 250), (415, 165), (470, 222), (505, 188), (570, 250)], fill=255)
        draw.ellipse((487, 100, 530, 143), fill=255)
        spaced_text(draw, (450, 400), "PACKSHOT", 104, 14, 3)
        spaced_text(draw, (450, 500), "STUDIO GOODS", 44, 14)

    made = material("stoneware", "#1f5a60", 0.22, Coat_Roughness=0.06)
    tree = made.node_tree
    x, y, z = axes(tree)
    from_axis = (x * x + y * y).math("SQRT")
    wobbly = z + (noise(tree, 3.0) - 0.5) * 0.05
    foot = wobbly.ramp(0.16, 0.15)
    lip = wobbly.ramp(height - 0.045, height - 0.01)
    inside = from_axis.ramp(radius - 0.035, radius - 0.045) * z.ramp(0.08, 0.09)

    angle = x.math("ARCTAN2", y * -1.0)
    u, v = angle * (radius / 1.1) + 0.4, (z - 1.06) * (900 / 560 / 1.1) + 0.5
    ink = printed(label("mug mark", (900, 560), mark), u, v) * from_axis.ramp(radius - 0.02, radius - 0.01)
    speckle = noise(tree, 55.0, 2.0).ramp(0.70, 0.74)
    teal = (speckle * 0.7).mix(noise(tree, 2.2, 5.0).mix("#174a52", "#2b6e72"), "#0c2a30")
    cream = (speckle * 0.6).mix("#e2d8c4", "#9b8463")
    glaze = (lip * 0.75).mix(inside.mix(ink.mix(teal, "#eee6d6"), cream), "#8a6844")
    clay = noise(tree, 120.0).mix("#a9835c", "#c9a883")
    pores = bump(noise(tree, 160.0), 0.002, 0.4)
    drive(
        made,
        Base_Color=foot.mix(glaze, clay),
        Roughness=foot * 0.55 + 0.22,
        Coat_Weight=0.7 - foot * 0.7,
        Normal=bump(noise(tree, 4.0, 2.0, (0.3, 0.3, 1.6)), 0.02, 0.18, pores),
    )
    return made


def running_glaze():
    """A shiny blue glaze that pales towards the top, where it ran off."""
    made = material("glaze", "#27456b", 0.12, Coat_Weight=0.6, Coat_Roughness=0.04)
    tree = made.node_tree
    runs = axes(tree)[2] + noise(tree, 3.0, 6.0, (1.4, 1.4, 0.35)) * 0.9
    waves = bump(noise(tree, 5.0, 2.0, (0.2, 0.2, 2.0)), 0.03, 0.3)
    drive(made, Base_Color=runs.ramp(0.75, 1.55).mix("#16304f", "#5f86a3"), Normal=waves)
    return made


def linen():
    """Slubbed linen around the z axis that lets light through."""
    made = material("linen", "#d8c6a4", 0.95, Sheen_Weight=0.2, Specular_IOR_Level=0.1)
    tree = made.node_tree
    x, y, z = axes(tree)
    unrolled = node(tree, "CombineXYZ", {"X": y.math("ARCTAN2", x), "Y": z})

    def slubs(scale: Point) -> Field:
        stretched = node(tree, "Mapping", {"Vector": unrolled, "Scale": scale})
        return node(tree, "TexNoise", {"Vector": stretched, "Scale": 1.0, "Detail": 2.0})

    weave = (slubs((9.0, 190.0, 1.0)) + slubs((120.0, 8.0, 1.0))).ramp(0.75, 1.25)
    colour = weave.mix("#bda987", "#e3d4b8")
    drive(made, Base_Color=colour, Normal=bump(weave, 0.006, 0.6))
    opaque = Field(tree, tree.nodes["Principled BSDF"].outputs[0])
    both = node(tree, "MixShader", {0: 0.35, 1: opaque, 2: node(tree, "BsdfTranslucent", {"Color": colour})})
    tree.links.new(both.socket, tree.nodes["Material Output"].inputs["Surface"])
    return made


def stamped_leather():
    """Pebbled cognac leather, with a foil stamp where the front of the handbag is."""
    made = material("leather", "#8a4a24", 0.42, Coat_Weight=0.08, Coat_Roughness=0.3)
    tree = made.node_tree
    x, y, z = axes(tree)
    stamp = label("stamp", (1000, 200), lambda draw: spaced_text(draw, (500, 100), "PACKSHOT", 120, 36, 2))
    foil = printed(stamp, x / 0.62 + 0.5, (z - 0.27) / 0.124 + 0.5) * (y < 0.0)
    pebbles = node(tree, "TexVoronoi", {"Vector": position(tree), "Scale": 62.0, "Randomness": 0.9})
    patina = noise(tree, 2.5, 6.0) * 0.75 + noise(tree, 60.0) * 0.25
    creases = bump(noise(tree, 3.5, 2.0), 0.05, 0.25)
    grain = bump(pebbles + noise(tree, 140.0) * 0.5, 0.006, 0.45, creases)
    drive(
        made,
        Base_Color=foil.mix(patina.ramp(0.3, 0.7).mix("#6b3717", "#96532a"), "#d9b36a"),
        Metallic=foil,
        Normal=bump(1.0 - foil, 0.006, 0.6, grain),
        Roughness=noise(tree, 25.0).ramp(-0.6, 1.5),
    )
    return made


def label_paper(side: float):
    """Off-white paper, printed over a square of that side that stands on the object's origin."""

    def print_label(draw: ImageDraw.ImageDraw) -> None:
        draw.rectangle((26, 26, 773, 773), outline=255, width=6)
        spaced_text(draw, (400, 250), "PACKSHOT", 96, 16, 2)
        draw.rectangle((340, 350, 460, 354), fill=255)
        spaced_text(draw, (400, 440), "NUMBER SEVEN", 42, 10)
        spaced_text(draw, (400, 640), "EAU DE PARFUM", 34, 8)
        spaced_text(draw, (400, 700), "50 ml  1.7 fl. oz.", 30, 4)

    made = material("paper", "#efe9dd", 0.7)
    x, _, z = axes(made.node_tree)
    ink = printed(label("perfume label", (800, 800), print_label), x / side + 0.5, z / side)
    fibres = bump(noise(made.node_tree, 90.0), 0.002, 0.4)
    drive(made, Base_Color=ink.mix("#f6f1e6", "#2a241f"), Normal=fibres)
    return made


# --- Shapes -------------------------------------------------------------------------------------------------


def mesh_object(name: str, vertices, faces, made=None, smooth: bool = True):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(v) for v in vertices], [], faces)
    mesh.validate()
    mesh.polygons.foreach_set("use_smooth", [smooth] * len(mesh.polygons))
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(thing)
    if made is not None:
        mesh.materials.append(made)
    return thing


def modify(thing, kind: str, **settings):
    modifier = thing.modifiers.new(kind.lower(), kind)
    for name, value in settings.items():
        setattr(modifier, name, value)
    return modifier


def rounded_box(name: str, size: Point, location: Point, made, radius: float = 0.03, segments: int = 5):
    """A box with rounded edges; the location is the centre of its underside."""
    x, y, z = size[0] / 2, size[1] / 2, size[2]
    corners = [(a * x, b * y, c * z) for a in (-1, 1) for b in (-1, 1) for c in (0, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    box = mesh_object(name, corners, faces, made)
    box.location = location
    modify(box, "BEVEL", width=radius, segments=segments, harden_normals=True)
    return box


def grid(name: str, rows: np.ndarray, made, around: bool = False, caps: bool = False):
    """A surface through rows of points, shape (rows, columns, 3); `around` closes each row to a ring."""
    count, columns = rows.shape[:2]
    last = columns if around else columns - 1
    faces = [
        (
            r * columns + c,
            r * columns + (c + 1) % columns,
            (r + 1) * columns + (c + 1) % columns,
            (r + 1) * columns + c,
        )
        for r in range(count - 1)
        for c in range(last)
    ]
    if caps:
        faces += [tuple(reversed(range(columns))), tuple(range((count - 1) * columns, count * columns))]
    return mesh_object(name, rows.reshape(-1, 3), faces, made)


def lathe(name: str, profile: Iterable[tuple[float, float]], made, segments: int = 160, closed: bool = True):
    """Turn a profile of (radius, height) points around z."""
    angles = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    rows = [[(r * math.cos(a), r * math.sin(a), z) for a in angles] for r, z in profile]
    return grid(name, np.array(rows), made, around=True, caps=closed)


def spline(points: Sequence[Sequence[float]], count: int = 100) -> np.ndarray:
    """A smooth Catmull-Rom line through the points, resampled to `count` points of even spacing."""
    p = np.array(points, dtype=float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    fine = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        t = np.linspace(0, 1, 40, endpoint=False)[:, None]
        cubic = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
        fine.extend(cubic / 2)
    return resample(np.array([*fine, p[-2]]), count)


def resample(line: np.ndarray, count: int) -> np.ndarray:
    distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.linspace(0, distance[-1], count)
    return np.stack([np.interp(even, distance, line[:, axis]) for axis in range(line.shape[1])], axis=1)


def tubes(
    name: str,
    lines: Iterable[np.ndarray],
    radius: float,
    made,
    closed: bool = False,
    radii=None,
    section=None,
):
    """Round tubes along lines; `radii` scales along the way, `section` (a, b) makes the tube elliptic."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions = "3D"
    curve.use_fill_caps = True
    curve.bevel_resolution = 6
    if section is None:
        curve.bevel_depth = radius
    else:
        ellipse = bpy.data.curves.new(f"{name} section", "CURVE")
        ring = ellipse.splines.new("POLY")
        ring.points.add(47)
        ring.use_cyclic_u = True
        for point, angle in zip(ring.points, np.linspace(0, 2 * math.pi, 48, endpoint=False), strict=True):
            point.co = (section[0] * math.cos(angle), section[1] * math.sin(angle), 0, 1)
        curve.bevel_mode = "OBJECT"
        curve.bevel_object = bpy.data.objects.new(f"{name} section", ellipse)
    for line in lines:
        path = curve.splines.new("POLY")
        path.points.add(len(line) - 1)
        path.use_cyclic_u = closed
        path.use_smooth = True
        for index, (point, position) in enumerate(zip(path.points, line, strict=True)):
            point.co = (*position, 1)
            point.radius = 1.0 if radii is None else radii[index]
    curve.materials.append(made)
    thing = bpy.data.objects.new(name, curve)
    bpy.context.collection.objects.link(thing)
    return thing


def stitches(name: str, line: np.ndarray, length: float, gap: float, radius: float, made):
    """A row of separate stitches along a line."""
    total = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    count = int(total / (length + gap))
    fine = resample(line, count * 10 + 1)
    used = max(2, round(10 * length / (length + gap)))
    return tubes(name, [fine[i * 10 : i * 10 + used + 1] for i in range(count)], radius, made)


def cushion(name: str, size: Point, made, pressure: float, piping=None, seed: int = 0, cell: float = 0.025):
    """A filled cushion: a fabric box centred at the origin, blown up in a cloth simulation, with piped seams.

    `pressure` is Blender's cloth pressure; a thin box becomes a scatter cushion.
    """
    counts = [max(1, round(extent / cell)) for extent in size]
    index: dict[tuple[int, int, int], int] = {}
    faces = []

    def corner(i: int, j: int, k: int) -> int:
        return index.setdefault((i, j, k), len(index))

    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (0, counts[axis]):
            for a in range(counts[u]):
                for b in range(counts[v]):
                    ring = []
                    for da, db in ((0, 0), (1, 0), (1, 1), (0, 1)):
                        at = [0, 0, 0]
                        at[axis], at[u], at[v] = side, a + da, b + db
                        ring.append(corner(*at))
                    faces.append(ring if side else ring[::-1])
    lattice = np.array(list(index), dtype=float)
    vertices = (lattice / counts - 0.5) * size
    offset = Vector((seed * 3.1, seed * 1.7, seed * 0.9))
    vertices += [Vector(perlin.noise_vector(Vector(v) * 6 + offset)) * 0.004 for v in vertices]
    shell = mesh_object(name, vertices, faces)

    cloth = modify(shell, "CLOTH").settings
    cloth.quality = 6
    cloth.mass = 0.25
    cloth.use_pressure = True
    cloth.uniform_pressure_force = pressure
    cloth.tension_stiffness = cloth.compression_stiffness = 25
    cloth.shear_stiffness = 12
    cloth.bending_stiffness = 4.0
    cloth.effector_weights.gravity = 0
    scene = bpy.context.scene
    for frame in range(1, 31):
        scene.frame_set(frame)
    settled = bpy.data.meshes.new_from_object(shell.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    scene.frame_set(1)
    bpy.data.objects.remove(shell)

    settled.materials.append(made)
    settled.polygons.foreach_set("use_smooth", [True] * len(settled.polygons))
    thing = bpy.data.objects.new(name, settled)
    bpy.context.collection.objects.link(thing)
    modify(thing, "SUBSURF", levels=1, render_levels=2)
    if piping is not None:
        nx, ny, nz = counts
        thin = size[2] < 4 * cell
        for level in (nz // 2,) if thin and nz > 1 else (nz,) if thin else (0, nz):
            ring = [(i, 0, level) for i in range(nx)] + [(nx, j, level) for j in range(ny)]
            ring += [(i, ny, level) for i in range(nx, 0, -1)] + [(0, j, level) for j in range(ny, 0, -1)]
            line = np.array([settled.vertices[index[at]].co for at in ring])
            cord = tubes(f"{name} piping", [line], 0.008, piping, closed=True)
            cord.parent = thing
    return thing


def place(thing, location: Point, rotation: Point = (0.0, 0.0, 0.0)) -> None:
    """Move and turn an object; angles in degrees, around x, then y, then z."""
    thing.location = location
    thing.rotation_euler = Euler([math.radians(angle) for angle in rotation])


# --- Products -----------------------------------------------------------------------------------------------


def sofa() -> Shot:
    """A two-seat sofa in a blue-grey weave on oak legs; 1 unit is 1 m."""
    cloth = fabric("weave", "#53656d", "#76888f")
    cord = fabric("piping", "#4b5d65", "#6b7e86")
    wood = oak()
    width, depth, arm = 2.06, 0.88, 0.17
    rounded_box("base", (width - 0.04, depth - 0.06, 0.17), (0, 0, 0.15), cloth, 0.03)
    for side in (-1, 1):
        x = side * (width - arm) / 2
        upholstered = cushion("arm", (arm, depth, 0.46), cloth, 0.35, cord, seed=20 + side)
        place(upholstered, (x, 0, 0.37))
    back = cushion("back", (width - 2 * arm + 0.02, 0.16, 0.60), cloth, 0.4, seed=30)
    place(back, (0, depth / 2 - 0.09, 0.47), (-4, 0, 0))

    seat = (width - 2 * arm) / 2
    for side in (-1, 1):
        place(
            cushion("seat", (seat - 0.012, 0.70, 0.15), cloth, 1.1, cord, seed=2 + side),
            (side * seat / 2, -0.1, 0.40),
        )
        rest = cushion("rest", (seat - 0.02, 0.46, 0.15), cloth, 1.4, cord, seed=7 + side)
        place(rest, (side * seat / 2, 0.21, 0.70), (76, 0, side * 1.0))

    ochre = fabric("ochre", "#b07a28", "#d39c45", 200)
    cream = fabric("cream", "#cfc5b4", "#ebe4d8", 120, 0.01)
    place(
        cushion("scatter", (0.42, 0.42, 0.03), ochre, 6.0, ochre, seed=11), (-0.58, 0.02, 0.68), (66, 10, 16)
    )
    place(
        cushion("scatter", (0.40, 0.40, 0.03), cream, 6.0, cream, seed=12), (0.62, 0.03, 0.67), (68, -8, -14)
    )

    for x in (-0.92, 0.92):
        for y in (-0.34, 0.34):
            leg = lathe("leg", [(0.017, 0.0), (0.019, 0.003), (0.03, 0.17)], wood, 48)
            place(leg, (x, y, 0), (-6 * np.sign(y), 6 * np.sign(x), 0))
            leg.location += Vector((0.012 * np.sign(x), 0.012 * np.sign(y), 0))
    return Shot(azimuth=-24, elevation=11, fill=0.75)


def mug() -> Shot:
    """A stoneware mug: teal glaze outside, cream inside, bare clay foot, a printed mark; 1 unit is 5 cm."""
    radius, wall, height = 0.84, 0.075, 1.9
    glaze = stoneware(radius, height)

    def rounded(centre: tuple[float, float], r: float, start: float, end: float) -> list[tuple[float, float]]:
        turns = np.radians(np.linspace(start, end, 12))
        return [(centre[0] + r * math.cos(t), centre[1] + r * math.sin(t)) for t in turns]

    profile = [(0.001, 0.025), (0.58, 0.025), (0.6, 0.0), (radius - 0.17, 0.0)]
    profile += rounded((radius - 0.17, 0.17), 0.17, -90, 0)
    profile += [(radius, z) for z in np.linspace(0.2, height - 0.06, 30)]
    profile += rounded((radius - wall / 2, height - wall / 2), wall / 2, 0, 180)
    profile += [(radius - wall, z) for z in np.linspace(height - 0.06, 0.3, 30)]
    profile += rounded((radius - wall - 0.2, 0.3), 0.2, 0, -90)
    profile += [(0.001, 0.1)]
    lathe("mug", profile, glaze)

    ear = [
        (0.78, 1.5),
        (0.94, 1.51),
        (1.18, 1.47),
        (1.36, 1.29),
        (1.4, 1.02),
        (1.31, 0.72),
        (1.12, 0.5),
        (0.92, 0.43),
        (0.78, 0.425),
    ]
    line = spline([(x, 0, z) for x, z in ear], 90)
    t = np.linspace(-1, 1, 90)
    tubes("handle", [line], 0.1, glaze, radii=1 + 0.5 * np.abs(t) ** 12, section=(0.085, 0.13))
    card("reflector", (-2.3, -1.5, 0.0), (0.8, 3.0), 2.6)
    card("reflector", (2.6, -1.2, 0.0), (0.35, 3.0), 1.8)
    return Shot(azimuth=14, elevation=16, fill=0.66)


def table_lamp() -> Shot:
    """A lamp with a turned, glazed foot and a lit linen shade; 1 unit is 20 cm."""
    glaze = running_glaze()
    body = spline(
        [
            (0.30, 0.055),
            (0.40, 0.12),
            (0.505, 0.36),
            (0.49, 0.58),
            (0.36, 0.80),
            (0.19, 0.96),
            (0.125, 1.10),
            (0.13, 1.16),
        ],
        90,
    )
    lathe("body", [(0.001, 0.055), *body.tolist(), (0.11, 1.175), (0.001, 1.175)], glaze)
    metal = brass()
    lathe(
        "plinth", [(0.001, 0), (0.315, 0), (0.325, 0.01), (0.325, 0.05), (0.315, 0.06), (0.001, 0.06)], metal
    )
    lathe(
        "neck",
        [
            (0.001, 1.16),
            (0.1, 1.16),
            (0.105, 1.175),
            (0.1, 1.195),
            (0.04, 1.2),
            (0.035, 1.42),
            (0.075, 1.43),
            (0.075, 1.6),
            (0.001, 1.6),
        ],
        metal,
        96,
    )

    low, high, wide, narrow = 1.36, 2.18, 0.74, 0.54
    shade = lathe(
        "shade",
        [(wide + (narrow - wide) * t, low + (high - low) * t) for t in np.linspace(0, 1, 24)],
        linen(),
        closed=False,
    )
    modify(shade, "SOLIDIFY", thickness=0.008)
    trim = material("trim", "#c2ac86", 0.9)
    for z, r in ((low, wide), (high, narrow)):
        lathe(
            "trim",
            [
                (r + 0.008, z - 0.022),
                (r + 0.011, z),
                (r + 0.008, z + 0.022),
                (r - 0.012, z + 0.022),
                (r - 0.012, z - 0.022),
                (r + 0.008, z - 0.022),
            ],
            trim,
            closed=False,
        )
    tubes("spider", [np.array([(0, 0, 1.6), (0, 0, high - 0.06)])], 0.014, metal)
    spokes = [
        np.array([(0, 0, high - 0.06), (narrow * math.cos(a), narrow * math.sin(a), high - 0.02)])
        for a in (0.5, 2.6, 4.7)
    ]
    tubes("spokes", spokes, 0.009, metal)
    lathe(
        "finial",
        [
            (0.001, high - 0.06),
            (0.02, high - 0.06),
            (0.035, high + 0.0),
            (0.02, high + 0.04),
            (0.001, high + 0.05),
        ],
        metal,
        48,
    )

    bulb = bpy.data.objects.new("bulb", bpy.data.lights.new("bulb", "POINT"))
    bulb.location = (0, 0, 1.75)
    bulb.data.energy, bulb.data.color, bulb.data.shadow_soft_size = 26, (1.0, 0.78, 0.52), 0.1
    bpy.context.collection.objects.link(bulb)

    flex = material("flex", "#3a3733", 0.7)
    cord = spline(
        [(0.0, 0.3, 0.03), (0.15, 0.55, 0.02), (0.45, 0.62, 0.018), (0.7, 0.44, 0.018), (0.86, 0.46, 0.05)],
        120,
    )
    tubes("cord", [cord], 0.017, flex)
    plug = lathe("plug", [(0.001, 0), (0.02, 0), (0.05, 0.06), (0.05, 0.13), (0.001, 0.132)], flex, 64)
    place(plug, (0.85, 0.46, 0.05), (0, 90, 8))
    pins = [np.array([(0.97, y, 0.05), (1.06, y + 0.012, 0.05)]) for y in (0.452, 0.502)]
    tubes("pins", pins, 0.012, metal)
    return Shot(azimuth=0, elevation=7, fill=0.75)


def handbag() -> Shot:
    """A structured handbag in cognac leather with brass fittings; 1 unit is 15 cm."""
    top = 1.22
    power = 6.0

    def half_width(z):
        return 1.0 - 0.13 * z / top

    def half_depth(z):
        return 0.36 - 0.19 * (z / top) ** 1.2

    def front(x, z, gap: float = 0.0):
        """The y of the front face, `gap` before it."""
        bulge = (1 - np.minimum(np.abs(x / half_width(z)), 0.999) ** power) ** (1 / power)
        return -half_depth(z) * bulge - gap

    leather = stamped_leather()
    edge = material("edge paint", "#4a2410", 0.5)
    thread = material("thread", "#e2c79a", 0.8)
    metal = brass()

    turns = np.linspace(0, 2 * math.pi, 240, endpoint=False)
    shape = np.stack(
        [
            np.sign(np.cos(turns)) * np.abs(np.cos(turns)) ** (2 / power),
            np.sign(np.sin(turns)) * np.abs(np.sin(turns)) ** (2 / power),
        ],
        axis=1,
    )
    rows, corner = [], 0.13
    for turn in np.linspace(0.15, math.pi / 2, 14):
        inset, z = corner * (1 - math.sin(turn)), corner * (1 - math.cos(turn))
        rows.append(
            np.column_stack([shape * (half_width(z) - inset, half_depth(z) - inset), np.full(len(turns), z)])
        )
    rows += [
        np.column_stack([shape * (half_width(z), half_depth(z)), np.full(len(turns), z)])
        for z in np.linspace(corner, top, 60)[1:]
    ]
    grid("body", np.array(rows), leather, around=True, caps=True)

    def outline(inset: float, gap: float, bottom: float = 0.05) -> np.ndarray:
        """The edge of the front panel, from the upper left round the bottom to the upper right."""
        r = 0.2
        right = [(half_width(z) * 0.955 - inset, z) for z in np.linspace(top, bottom + r + inset, 40)]
        x0 = right[-1][0] - r
        bend = [
            (x0 + r * math.cos(t), bottom + inset + r - r * math.sin(t))
            for t in np.linspace(0, math.pi / 2, 16)[1:]
        ]
        half = right + bend + [(x, bottom + inset) for x in np.linspace(x0, 0, 30)[1:]]
        ring = [(-x, z) for x, z in half] + [(x, z) for x, z in half[-2::-1]]
        return np.array([(x, front(x, z, gap), z) for x, z in ring])

    tubes("piping", [resample(outline(0.0, 0.004), 400)], 0.018, leather)
    stitches("panel seam", outline(0.055, 0.002), 0.026, 0.012, 0.0048, thread)

    reach = 0.74

    def flap_point(x: float, s: float, gap: float) -> Point:
        """s runs from -0.3 (back) over the top at 0 and down the front to `reach`."""
        crown = front(x, top, gap)
        if s >= 0:
            z = top - s
            return (x, float(front(x, z, gap)), z)
        turn = -s / 0.3 * math.pi
        return (x, float(crown * math.cos(turn)), top + (0.075 + gap) * math.sin(turn))

    def flap_half_width(s: float, inset: float = 0.0) -> float:
        end, r = reach - inset, 0.3
        width = 0.845 - inset + 0.03 * max(s, 0)
        if s <= end - r:
            return width
        rest = min(1.0, (s - (end - r)) / r)
        return width - 0.42 * (1 - math.sqrt(max(0.0, 1 - rest**2.2)))

    steps = np.concatenate(
        [
            np.linspace(-0.3, 0, 24),
            np.linspace(0, reach - 0.3, 24)[1:],
            reach - 0.3 * (1 - np.sin(np.linspace(0, math.pi / 2, 40)[1:])),
        ]
    )
    surface = [[flap_point(u * flap_half_width(s), s, 0.022) for u in np.linspace(-1, 1, 90)] for s in steps]
    flap = grid("flap", np.array(surface), leather)
    flap.data.materials.append(edge)
    modify(flap, "SOLIDIFY", thickness=0.032, offset=1.0, material_offset_rim=1)
    modify(flap, "BEVEL", width=0.008, segments=3)

    inset = 0.05
    side = [(flap_half_width(s, inset), s) for s in np.linspace(-0.02, reach - inset, 400)]
    across = np.linspace(side[-1][0], -side[-1][0], 60)
    seam = [*side, *((x, reach - inset) for x in across[1:-1]), *((-w, s) for w, s in reversed(side))]
    stitches("flap seam", np.array([flap_point(x, s, 0.056) for x, s in seam]), 0.026, 0.012, 0.0048, thread)

    z = top - reach + 0.1
    y = float(front(0, z, 0.055))
    rounded_box("plate", (0.26, 0.03, 0.15), (0, y, z - 0.075), metal, 0.02)
    knob = lathe("knob", [(0.001, 0), (0.045, 0), (0.045, 0.035), (0.001, 0.035)], metal, 64)
    place(knob, (0, y - 0.012, z), (90, 0, 0))
    rounded_box("turn", (0.13, 0.04, 0.036), (0, y - 0.055, z - 0.018), metal, 0.016)

    for side_sign in (-1, 1):
        x = 0.4 * side_sign
        rounded_box("tab", (0.13, 0.2, 0.03), (x, 0, top + 0.1), leather, 0.012)
        stitches(
            "tab seam",
            np.array([(x - 0.045, -0.08, top + 0.133), (x + 0.045, -0.08, top + 0.133)]),
            0.026,
            0.012,
            0.0048,
            thread,
        )
        ring = np.array(
            [
                (x + 0.075 * math.cos(a), 0, top + 0.17 + 0.075 * math.sin(a))
                for a in np.linspace(0, 2 * math.pi, 48, endpoint=False)
            ]
        )
        tubes("ring", [ring], 0.014, metal, closed=True)
    arch = spline(
        [
            (-0.4, 0, top + 0.23),
            (-0.385, 0, top + 0.36),
            (-0.27, 0, top + 0.55),
            (0, 0, top + 0.63),
            (0.27, 0, top + 0.55),
            (0.385, 0, top + 0.36),
            (0.4, 0, top + 0.23),
        ],
        160,
    )
    t = np.linspace(-1, 1, 160)
    tubes("handle", [arch], 0.05, leather, radii=1.0 - 0.35 * np.abs(t) ** 12, section=(0.05, 0.058))
    return Shot(azimuth=22, elevation=9, fill=0.72)


def perfume() -> Shot:
    """A heavy glass bottle with amber liquid, a lacquered cap and a paper label; 1 unit is 5 cm."""
    wide, deep, high = 1.3, 0.56, 1.42
    glass = material("glass", "#ffffff", 0.0, Transmission_Weight=1.0, IOR=1.5)
    liquid = material("liquid", "#f6c68d", 0.0, Transmission_Weight=1.0, IOR=1.36)
    rounded_box("bottle", (wide, deep, high), (0, 0, 0), glass, 0.07, 8)
    cavity = rounded_box("cavity", (wide - 0.2, deep - 0.2, high - 0.26), (0, 0, 0.16), glass, 0.05, 8)
    cavity.data.flip_normals()
    rounded_box("liquid", (wide - 0.194, deep - 0.194, high - 0.42), (0, 0, 0.157), liquid, 0.05, 8)
    metal = material("collar", "#d8b878", 0.22, Metallic=1.0)
    lathe(
        "shoulder",
        [
            (0.001, high),
            (0.24, high),
            (0.25, high + 0.01),
            (0.25, high + 0.05),
            (0.22, high + 0.06),
            (0.2, high + 0.1),
            (0.001, high + 0.1),
        ],
        metal,
    )
    lacquer = material("lacquer", "#141416", 0.16, Coat_Weight=0.8, Coat_Roughness=0.03)
    rounded_box("cap", (0.56, 0.5, 0.56), (0, 0, high + 0.08), lacquer, 0.035, 6)
    tubes(
        "dip tube",
        [spline([(0, 0, high), (0.0, 0, 0.8), (0.05, 0, 0.2)], 40)],
        0.022,
        material("tube", "#f4efe6", 0.3, Transmission_Weight=0.6),
    )

    side = 0.78
    rounded_box("label", (side, 0.006, side), (0, -deep / 2 - 0.003, 0.3), label_paper(side), 0.002, 2)

    for x, y in ((-1.9, 0.5), (1.8, 1.3)):
        card("flag", (x, y, 0), (1.8, 3.4), 0.04)
    return Shot(azimuth=12, elevation=7, fill=0.7)


# --- Studio -------------------------------------------------------------------------------------------------


def softbox(
    name: str, location: Point, size: tuple[float, float], power: float, target: Point = (0, 0, 0.7)
) -> None:
    data = bpy.data.lights.new(name, "AREA")
    data.shape, data.size, data.size_y, data.energy = "RECTANGLE", *size, power
    thing = bpy.data.objects.new(name, data)
    thing.location = location
    thing.rotation_euler = (Vector(target) - Vector(location)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(thing)


def card(name: str, location: Point, size: tuple[float, float], brightness: float) -> None:
    """A standing card that only shows in shiny and clear surfaces: bright as a reflector, dark as a flag.

    The location is the middle of its lower edge; it faces the product.
    """
    light = surface(name, lambda tree: node(tree, "Emission", {"Strength": brightness}))
    half, high = size[0] / 2, size[1]
    thing = grid(name, np.array([[(-half, 0, z), (half, 0, z)] for z in (0, high)]), light)
    thing.location = location
    thing.rotation_euler.z = math.atan2(-location[0], location[1])
    thing.visible_camera = thing.visible_diffuse = thing.visible_shadow = False


def backdrop() -> None:
    """A white paper sweep.

    To the camera it reflects more the farther it is, in place of the lamps that light a real backdrop: it
    comes out evenly white, and the shadows keep their depth, as nothing is added to them.
    """

    def paper(tree) -> Field:
        distance = node(tree, "VectorMath", {0: position(tree)}, output="Value", operation="LENGTH")
        camera, glass = (
            node(tree, "LightPath", output=f"Is {rays} Ray") for rays in ("Camera", "Transmission")
        )
        albedo = (distance.ramp(2.0, 7.0) * 2.7 + 0.3) * camera.math("MAXIMUM", glass) + 0.8
        return node(
            tree, "BsdfDiffuse", {"Color": node(tree, "CombineColor", dict.fromkeys(range(3), albedo))}
        )

    bend = [(9 + 5 * math.sin(t), 5 - 5 * math.cos(t)) for t in np.linspace(0, math.pi / 2, 24)]
    profile = [(-40.0, 0.0), *bend, (14.0, 40.0)]
    grid(
        "backdrop", np.array([[(x, y, z) for x in (-40, 40)] for y, z in profile]), surface("backdrop", paper)
    )


def photograph(shot: Shot, product: list, path: Path, pixels: int, samples: int) -> None:
    """Light and frame the product, and render it to an 8-bit PNG."""
    scene = bpy.context.scene
    world = bpy.data.worlds.new("studio")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.4
    scene.world = world
    backdrop()
    softbox("key", (-3.4, -2.2, 3.4), (1.8, 2.6), 125)
    softbox("fill", (4.0, -3.2, 2.4), (1.6, 3.0), 60)
    softbox("top", (0.3, 1.3, 4.6), (3.2, 2.2), 190)

    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 90
    bpy.context.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x = scene.render.resolution_y = pixels
    frame(camera, shot, product)

    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.seed = SEED
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.max_bounces = 16
    scene.cycles.transmission_bounces = 12
    scene.cycles.sample_clamp_indirect = 6
    scene.view_settings.view_transform = "Khronos PBR Neutral"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def frame(camera, shot: Shot, product: list) -> None:
    """Put the camera where the product fills `shot.fill` of the frame, and shift it to the middle."""
    scene = bpy.context.scene
    azimuth, elevation = math.radians(shot.azimuth), math.radians(shot.elevation)
    away = Vector(
        (
            math.sin(azimuth) * math.cos(elevation),
            -math.cos(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
    )
    camera.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    graph = bpy.context.evaluated_depsgraph_get()
    corners = []
    for thing in product:
        evaluated = thing.evaluated_get(graph)
        mesh = evaluated.to_mesh()
        points = np.empty(3 * len(mesh.vertices))
        mesh.vertices.foreach_get("co", points)
        step = max(1, len(mesh.vertices) // 2000)
        corners += [evaluated.matrix_world @ Vector(point) for point in points.reshape(-1, 3)[::step]]
        evaluated.to_mesh_clear()
    distance = 6.0
    for _ in range(6):
        camera.location = Vector((0, 0, 0.8)) + away * distance
        bpy.context.view_layer.update()
        seen = np.array([world_to_camera_view(scene, camera, corner)[:2] for corner in corners])
        low, high = seen.min(axis=0), seen.max(axis=0)
        distance *= float((high - low).max()) / shot.fill
        camera.data.shift_x += float((low + high)[0] / 2 - 0.5)
        camera.data.shift_y += float((low + high)[1] / 2 - 0.5)


# --- Files --------------------------------------------------------------------------------------------------


def darkest_at_border(photo: Image.Image) -> int:
    pixels = np.asarray(photo.convert("RGB"))
    band = photo.width // 64
    return int(
        min(side.min() for side in (pixels[:band], pixels[-band:], pixels[:, :band], pixels[:, -band:]))
    )


def whiten(photo: Image.Image) -> Image.Image:
    """Set the white point just under the darkest pixel of the border, as a retoucher does.

    The border is then 255, with some headroom, so that noise and lossy encoders leave no specks on the white.
    """
    white = darkest_at_border(photo) - 3
    if white < 220:
        raise ValueError(f"the backdrop is too dark for a packshot: {white} of 255 at the border")
    return photo.point([min(255, round(value * 255 / white)) for value in range(256)] * 3)


def encode(photo: Image.Image, suffix: str) -> bytes:
    """The photo as a JPEG, PNG or WebP: the best quality that fits into MAX_BYTES and keeps the border white.

    A PNG gives up fine steps of brightness, counted down from 255: a palette would show in the metals.
    """
    for loss in range(8):
        buffer = io.BytesIO()
        if suffix == ".png":
            step = loss + 1
            levels = [max(0, 255 - step * round((255 - value) / step)) for value in range(256)]
            photo.point(levels * 3).save(buffer, "PNG", optimize=True)
        elif suffix == ".webp":
            photo.save(buffer, "WEBP", quality=100 - 3 * loss, method=6)
        else:
            photo.save(buffer, "JPEG", quality=94 - 3 * loss, optimize=True, progressive=True, subsampling=0)
        if buffer.tell() <= MAX_BYTES and darkest_at_border(Image.open(buffer)) == 255:
            return buffer.getvalue()
    raise ValueError(f"no {suffix} of this photo fits into {MAX_BYTES} bytes with a white border")


PRODUCTS: dict[str, Callable[[], Shot]] = {
    "sofa.jpg": sofa,
    "mug.jpg": mug,
    "table-lamp.png": table_lamp,
    "handbag.jpg": handbag,
    "perfume.webp": perfume,
}


def render(name: str, folder: Path, pixels: int, samples: int) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    shot = PRODUCTS[name]()
    product = [
        thing
        for thing in bpy.data.objects
        if thing.type in {"MESH", "CURVE"} and thing.visible_camera and thing.users_collection
    ]
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.png"
        photograph(shot, product, raw, pixels, samples)
        with Image.open(raw) as opened:
            photo = whiten(opened.convert("RGB"))
    (folder / name).write_bytes(encode(photo, Path(name).suffix))


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the sample packshots.")
    parser.add_argument(
        "--only", nargs="+", choices=PRODUCTS, default=list(PRODUCTS), help="file names to render"
    )
    parser.add_argument("--preview", action="store_true", help="small and noisy: 512 pixels, 32 samples")
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="where the photos go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        render(name, options.folder, *((512, 32) if options.preview else (SIZE_PIXELS, 96)))


if __name__ == "__main__":
    main()
