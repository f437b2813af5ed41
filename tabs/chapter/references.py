"""References: two videos, the papers, and what the text cites, each with BibTeX to copy."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from grader.course import Course

TITLE = "References"
ID = "references"


NVFP4_URL = "https://developer.nvidia.com/blog/introducing-nvfp4-for-efficient-and-accurate-low-precision-inference/"
TRITON_URL = "https://triton-lang.org/main/getting-started/tutorials/index.html"
_NEURIPS = "Advances in Neural Information Processing Systems (NeurIPS)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    key: str
    title: str
    authors: str  # as BibTeX wants them
    year: int
    url: str
    why: str
    venue: str = ""  # its short name last, in brackets
    arxiv: str = ""

    @property
    def cited(self) -> str:
        """Who, where, when, and the number: "Vaswani et al., NeurIPS 2017, arXiv:1706.03762"."""
        names = [name.partition(",")[0].strip("{}").replace("{\\'e}", "é") for name in self.authors.split(" and ")]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        where = f"{self.venue.rpartition('(')[2].rstrip(')')} {self.year}".strip()
        return ", ".join(filter(None, (who, where, self.arxiv and f"arXiv:{self.arxiv}")))

    @property
    def bibtex(self) -> str:
        kind = "inproceedings" if self.venue else "misc"
        fields = {"title": f"{{{self.title}}}", "author": self.authors, "year": str(self.year), "url": self.url}
        if self.venue:
            fields["booktitle"] = self.venue
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"}
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind}{{{self.key},\n{lines}\n}}"


VIDEOS = (
    (
        "Attention in transformers",
        "3Blue1Brown",
        "https://www.youtube.com/watch?v=eMlx5fFNoYc",
        "Query, key and value as pictures.",
    ),
    (
        "Let's build GPT",
        "Andrej Karpathy",
        "https://www.youtube.com/watch?v=kCc8FmEb1nY",
        "A transformer typed from an empty file.",
    ),
)

WORKS = (
    Work(
        key="vaswani2017attention", title="Attention Is All You Need", year=2017, venue=_NEURIPS, arxiv="1706.03762",
        authors="Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and Jones, Llion and Gomez, Aidan N. "
        "and Kaiser, Lukasz and Polosukhin, Illia",
        url="https://arxiv.org/abs/1706.03762", why="The formula, and the division by the root of d.",
    ),
    Work(
        key="dao2022flashattention", title="FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness",
        year=2022, venue=_NEURIPS, arxiv="2205.14135",
        authors="Dao, Tri and Fu, Daniel Y. and Ermon, Stefano and Rudra, Atri and R{\\'e}, Christopher",
        url="https://arxiv.org/abs/2205.14135", why="Tiles, online softmax, and counting bytes.",
    ),
    Work(
        key="dao2023flashattention2", title="FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning",
        year=2023, arxiv="2307.08691", authors="Dao, Tri", url="https://arxiv.org/abs/2307.08691",
        why="The loop order and the single division at the end.",
    ),
    Work(
        key="milakov2018online", title="Online normalizer calculation for softmax", year=2018, arxiv="1805.02867",
        authors="Milakov, Maxim and Gimelshein, Natalia", url="https://arxiv.org/abs/1805.02867", why="m and l in one pass.",
    ),
    Work(
        key="micikevicius2022fp8", title="FP8 Formats for Deep Learning", year=2022, arxiv="2209.05433",
        authors="Micikevicius, Paulius and Stosic, Dusan and Burgess, Neil and others", url="https://arxiv.org/abs/2209.05433",
        why="E4M3 and E5M2, bit by bit.",
    ),
    Work(
        key="ocp2023mx", title="OCP Microscaling Formats (MX) Specification", year=2023, authors="{Open Compute Project}",
        url="https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf",
        why="E2M1, and blocks of 32 with a power-of-two scale.",
    ),
    Work(
        key="nvidia2025nvfp4", title="Introducing NVFP4 for Efficient and Accurate Low-Precision Inference", year=2025,
        authors="{NVIDIA}",
        url=NVFP4_URL,
        why="Blocks of 16 with an E4M3 scale; what benchmarks lose.",
    ),
    Work(
        key="shah2024flashattention3", title="FlashAttention-3: Fast and Accurate Attention with Asynchrony and Low-precision",
        year=2024, venue=_NEURIPS, arxiv="2407.08608",
        authors="Shah, Jay and Bikshandi, Ganesh and Zhang, Ying and Thakkar, Vijay and Ramani, Pradeep and Dao, Tri",
        url="https://arxiv.org/abs/2407.08608", why="Warps that specialise, and two groups that take turns.",
    ),
    Work(
        key="ainslie2023gqa", year=2023, arxiv="2305.13245",
        title="GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
        venue="Empirical Methods in Natural Language Processing (EMNLP)",
        authors="Ainslie, Joshua and Lee-Thorp, James and de Jong, Michiel and Zemlyanskiy, Yury and Lebr{\\'o}n, Federico "
        "and Sanghai, Sumit",
        url="https://arxiv.org/abs/2305.13245", why="Query heads that share a cached head: fewer bytes a token.",
    ),
    Work(
        key="williams2009roofline", year=2009,
        title="Roofline: An Insightful Visual Performance Model for Multicore Architectures",
        authors="Williams, Samuel and Waterman, Andrew and Patterson, David", url="https://doi.org/10.1145/1498765.1498785",
        why="Two roofs and a ridge: what a kernel waits for.",
    ),
    Work(
        key="tillet2019triton", title="Triton: An Intermediate Language and Compiler for Tiled Neural Network Computations",
        year=2019, venue="Machine Learning and Programming Languages (MAPL)",
        authors="Tillet, Philippe and Kung, H. T. and Cox, David", url="https://doi.org/10.1145/3315508.3329973",
        why="Programs over tiles, and the compiler that makes threads of them.",
    ),
)  # fmt: skip

# What was drawn before Gradio (first_page.js) moves in with what the reader unfolded.
_SCRIPT = """
const early = document.querySelector("#early .references");
if (early && !element.closest("#early")) {
  element.querySelector(".references").replaceWith(early);
  document.getElementById("early").remove();
}
element.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = element.querySelector("#" + button.dataset.copy).textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch {
    getSelection().selectAllChildren(element.querySelector("#" + button.dataset.copy));
    button.textContent = "Selected: copy it";
  }
  setTimeout(() => { button.textContent = "Copy BibTeX"; }, 2000);
});
"""


def page() -> str:
    """The whole list as HTML."""
    videos = "".join(
        f'<li><a href="{url}" target="_blank" rel="noopener">{html.escape(title)}</a>, {who}. {html.escape(why)}</li>'
        for title, who, url, why in VIDEOS
    )
    works = "".join(
        f'<li><a href="{work.url}" target="_blank" rel="noopener">{html.escape(work.title)}</a>. {html.escape(work.cited)}. '
        f"{html.escape(work.why)}"
        f'<details><summary>BibTeX</summary><pre id="bib-{work.key}" tabindex="0">{html.escape(work.bibtex)}</pre>'
        f'<button type="button" class="fig-button" data-copy="bib-{work.key}">Copy BibTeX</button></details></li>'
        for work in WORKS
    )
    lists = f"<h2>Watch</h2><ul>{videos}</ul><h2>Read</h2><ol>{works}</ol>"
    return f'<div class="section-text references"><h1>Further reading</h1>{lists}</div>'


def build(course: Course) -> None:
    gr.HTML(page(), js_on_load=_SCRIPT, apply_default_css=False, elem_id="references")
