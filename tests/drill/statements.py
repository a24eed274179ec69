"""Which test fails without which statement of the template's policies: none of them is there for nothing."""

from __future__ import annotations

from tests.grants import UNSEEN

WAY = "tests/integration/test_way_of_a_photo.py::"
A_PHOTO = f"{WAY}test_a_photo_becomes_an_image_a_record_and_an_event[webp]"
FIRST_TRY = f"{WAY}test_a_request_is_waited_for_and_ended_at_the_first_try"
COMES_AGAIN = f"{WAY}test_a_then_b_then_a_again_ends_with_the_image_of_a_and_two_requests"
TOLD_AGAIN = f"{WAY}test_a_job_that_is_told_of_again_on_its_way_is_one_request"
REJECTED = f"{WAY}test_the_first_photo_owns_its_path"
COMES_BACK = f"{WAY}test_a_rate_limited_photo_waits_visibly_and_comes_back_by_itself"
MANY_SCENES = "tests/integration/test_scenes.py::test_nothing_else_was_paid_for"
KEY_COMES = "tests/integration/test_another_segmind.py::test_without_a_key_photos_wait_and_nothing_is_sent"
OWN_BUCKET = (
    "tests/integration/test_owners_resources.py::test_a_photo_goes_from_bucket_to_bucket_and_the_bus_tells"
)
PEOPLE = "tests/integration/test_policies_for_people.py::"
UPLOADER = f"{PEOPLE}test_an_uploader_runs_packshot_upload_and_may_do_no_more"
READER = f"{PEOPLE}test_an_image_reader_reads_images_and_may_do_no_more"

FAILS_WITHOUT = {
    "SubmitFunction.ReadPhotos": A_PHOTO,
    "SubmitFunction.RepublishImagesAndWriteManifests": COMES_AGAIN,
    "SubmitFunction.SeeThatImagesKeepVersions": OWN_BUCKET,
    "SubmitFunction.KeepJobs": A_PHOTO,
    "SubmitFunction.SendJobs": MANY_SCENES,
    "SubmitFunction.StartWaiting": A_PHOTO,
    "SubmitFunction.SeeWhetherItIsWaitedFor": TOLD_AGAIN,
    "SubmitFunction.ReadApiKey": A_PHOTO,
    "SubmitFunction.TellEvents": REJECTED,
    "CheckStatusFunction.ReadApiKey": A_PHOTO,
    "FinalizeFunction.KeepJobsAndLearnHowLongTheyTake": A_PHOTO,
    "FinalizeFunction.PublishImagesAndManifests": A_PHOTO,
    "FinalizeFunction.ReadApiKey": A_PHOTO,
    "FinalizeFunction.TellEvents": FIRST_TRY,
    "SweepFunction.FindWhatIsDue": KEY_COMES,
    "SweepFunction.MarkItAndKeepTheGate": KEY_COMES,
    "SweepFunction.SendJobs": COMES_BACK,
    "SweepFunction.ReadApiKey": KEY_COMES,
    "SweepFunction.TellEvents": KEY_COMES,
    "UploaderPolicy.UploadPhotos": UPLOADER,
    "UploaderPolicy.ReadWhatStandsThere": UPLOADER,
    "UploaderPolicy.FindTheStack": UPLOADER,
    "ImageReaderPolicy.ReadImages": READER,
    "ImageReaderPolicy.FindImages": READER,
}


def to_try(statements: dict[str, set[str]]) -> set[str]:
    """Those that something can be missing without, by name, from what each allows.

    Statements of actions that are never seen in use here can be taken away without harm; the table of grants
    says why they are there.
    """
    return {
        name
        for name, actions in statements.items()
        if name == "ImageReaderPolicy.FindImages" or not actions <= UNSEEN.keys()
    }
