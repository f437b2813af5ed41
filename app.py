"""The app: the tabs put together over one course, and launched with grading processes beside it. No logic lives here.

python app.py [--workers N] [--device cuda]        # http://127.0.0.1:7860, or GRADIO_SERVER_NAME and GRADIO_SERVER_PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if (here := str(Path(__file__).resolve().parent)) not in sys.path:
        sys.path.insert(0, here)  # python -P and -I, and PYTHONSAFEPATH, leave it out
    from grader import streams
    from tabs.page.surroundings import fit
    from tabs.page.upright import keep_up, make_room

    streams.open_all()
    streams.lose_what_cannot_be_written()
    SERVER_NAME = fit()
    make_room()
    keep_up()  # before anything large is loaded

import argparse
import os
from contextlib import nullcontext

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads these when it is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("GRADIO_NUM_PORTS", "1")  # a port that is taken is said: at the next one nobody would look for the page

from typing import Any

import gradio as gr

from grader.course import given, zero_gpu
from grader.course.course import Course
from grader.course.gradebook.accounts import signs_in_with_hugging_face
from grader.course.logs import start_logging
from grader.course.places import keep_private
from grader.course.refusal import Ground, Refusal, refusals
from grader.course.supervise import Supervisor
from tabs import load_tabs
from tabs.page import sign_in
from tabs.page.identity import Identities
from tabs.page.middleware import app_kwargs
from tabs.page.openid import provider
from tabs.page.patience import be_patient
from tabs.page.theme import STYLES, head, theme
from tabs.page.upright import until_told
from tabs.page.visits import VISITS
from tabs.web.app import mount

IDLE_S = 0.02  # Gradio looks for events of its queue each millisecond, most of what an idle page does


def build(course: Course) -> gr.Blocks:
    """The page over `course`; `?tab=ID` opens that tab (tabs/page/first_page.js)."""
    page = gr.Blocks(title="Attention kernels", fill_width=True, delete_cache=(3600, 3600), analytics_enabled=False)
    with page, gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        for tab in load_tabs():
            with gr.Tab(tab.TITLE, id=tab.ID):
                tab.build(course)
    page.queue(max_size=64, default_concurrency_limit=8)
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = IDLE_S
    return page


def launch(page: gr.Blocks, course: Course, **options: Any) -> tuple[Any, str, str]:
    """Serve the page; `options` go to `gr.Blocks.launch`.

    Raises:
        NotGradable: a setting is not as it must be.
        Refusal: the address cannot be had.
    """
    identities = Identities.from_environment()
    beside = [mount(course, identities), *sign_in.routes(identities, provider())]
    try:
        return served(page, app_kwargs(course.health, *beside, counted=course.tally), options)
    except OSError as error:
        name = options.get("server_name") or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
        place = f"{name}:{os.environ.get('GRADIO_SERVER_PORT', '7860')}"
        raise Refusal(
            f"The page cannot be served at {place}: another program is there, or the name is none of this machine's; set "
            "GRADIO_SERVER_PORT or GRADIO_SERVER_NAME.",
            Ground.STANDS_AGAINST,
        ) from error


def served(page: gr.Blocks, beside: dict[str, Any], options: dict[str, Any]) -> tuple[Any, str, str]:
    """The page as it is launched everywhere; `beside`: what else stands at its address."""
    be_patient()
    return page.launch(
        theme=theme(),
        css_paths=STYLES,
        head=head(),
        ssr_mode=False,
        _frontend=False,  # no look of Gradio's own, which ends a page whose first answer takes more than 3 s
        max_file_size="1mb",
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        state_session_capacity=VISITS,
        mcp_server=False,
        show_error=False,
        footer_links=["api"],
        app_kwargs=beside,
        **options,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python app.py", description="Serve the chapter and its labs.")
    parser.add_argument("--workers", metavar="N", help="grading processes beside the page (default: GRADER_WORKERS)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="what grades, here or elsewhere (default: what is here)")
    options = parser.parse_args()
    os.environ["GRADER_WORKERS"] = options.workers or os.environ.get("GRADER_WORKERS", "0")
    keep_private()
    start_logging()
    here = zero_gpu.device()
    device = options.device or here
    graded_here = device in ("cpu", here)
    with Course(device=device) as course, Supervisor(course.settings, device=device) if graded_here else nullcontext():
        if not signs_in_with_hugging_face() and (token := course.new_instructor_token(only_first=True)):
            print(f"The instructor's token, shown this once: {token}", flush=True)
        for said in filter(None, (given.unknown(), course.settings.warning, zero_gpu.note(device))):
            print(said, flush=True)
        zero_gpu.name_a_borrower()
        launch(build(course), course, prevent_thread_lock=True, server_name=SERVER_NAME)
        until_told()
    os._exit(0)  # Gradio's threads would be waited for


if __name__ == "__main__":
    try:
        with refusals():  # a setting that is wrong, a place that cannot be opened
            main()
    except Refusal as refused:
        sys.exit(f"error: {refused}")
