"""The lessons in order, and where each is found: source, notebooks, Binder, Colab and the plain page."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

REPOSITORY = "flowedit/flowedit"
"""Owner and name on GitHub; every badge and install line is made from it."""
BRANCH = "main"
FOLDER = Path(__file__).parents[1]
"""Where the notebooks lie."""


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        number: two digits, as in "01".
        slug: the rest of its file name.
        title: its heading.
        memory: most megabytes that running it may take.
    """

    number: str
    slug: str
    title: str
    memory: int = 1500

    @property
    def stem(self) -> str:
        """File name without ending: `01_math_verification`."""
        return f"{self.number}_{self.slug}"

    @property
    def source(self) -> Path:
        """The `# %%` file that both notebooks are made from."""
        return FOLDER / "_src" / f"{self.stem}.py"

    @property
    def student(self) -> Path:
        """The notebook that a student opens."""
        return FOLDER / f"{self.stem}.ipynb"

    @property
    def solution(self) -> Path:
        """The notebook with solutions."""
        return FOLDER / "solutions" / f"{self.stem}.ipynb"

    @property
    def colab(self) -> str:
        """Address that opens the student notebook on Colab."""
        return f"https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/notebooks/{self.stem}.ipynb"

    @property
    def binder(self) -> str:
        """Address that opens the student notebook in JupyterLab on Binder."""
        path = quote(f"lab/tree/notebooks/{self.stem}.ipynb", safe="")
        return f"https://mybinder.org/v2/gh/{REPOSITORY}/{BRANCH}?urlpath={path}"

    @property
    def page(self) -> str:
        """Address of the plain page, which needs no kernel."""
        owner, name = REPOSITORY.split("/")
        return f"https://{owner}.github.io/{name}/{self.stem}.html"

    def badges(self) -> str:
        """The three badges in Markdown, each with its words."""
        shields = "https://img.shields.io/badge"
        return (
            f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({self.colab}) "
            f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({self.binder}) "
            f"[![Read without a kernel]({shields}/read-plain_page-0072B2)]({self.page})"
        )


CATALOG = (
    Lesson("00", "start_here", "Start here"),
    Lesson("01", "math_verification", "Math verification", memory=200),
    Lesson("02", "flows_by_hand", "Flows you can solve by hand", memory=200),
    Lesson("03", "frames_latents_keyframes", "Frames, latents, keyframes"),
    Lesson("04", "agent_keyframes", "Agent keyframe styling"),
    Lesson("05", "full_edit", "A full edit on the small Wan"),
    Lesson("06", "what_is_it_worth", "What is it worth?"),
    Lesson("07", "full_wan", "Full WAN editing"),
    Lesson("08", "your_own_model", "Your own model"),
)
"""All lessons, in teaching order."""
