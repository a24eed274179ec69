"""What a stack says of every photo, from its parameters: given ones, a deployed stack's, or the defaults."""

from __future__ import annotations

from collections.abc import Mapping

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from packshot.check_settings import SettingError
from packshot.settings import SceneSettings, settings_of
from packshot_cli.errors import PhotosError
from packshot_cli.local_cloud import TEMPLATE_FILE, check_names, one_line
from packshot_cli.stack import Stack


def stack_settings(given: Mapping[str, str]) -> SceneSettings:
    """The settings of a stack with these parameters, and the template's defaults for the others.

    Raises PhotosError for a value, and LocalCloudError for a name, that the stack would refuse.
    """
    template = yaml_parse(TEMPLATE_FILE.read_text(encoding="utf-8"))
    declared = template["Parameters"]
    check_names(given, declared)
    parameters = {name: str(given.get(name, declared[name].get("Default", ""))) for name in declared}
    # The template itself says which parameter is which setting.
    variables = template["Resources"]["SubmitFunction"]["Properties"]["Environment"]["Variables"]
    referred = {name: value.get("Ref") for name, value in variables.items() if isinstance(value, dict)}
    settings = {name: parameters[ref] for name, ref in referred.items() if ref in parameters}
    try:
        validated = settings_of(SceneSettings, settings)
        # The values of its scene are judged as one.
        validated.scene()
    except SettingError as error:
        raise PhotosError(one_line(str(error))) from None
    return validated


def parameters_of(stack: Stack) -> dict[str, str]:
    """The parameters that a deployed stack has. Raises ClientError."""
    (found,) = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
