"""The lessons in order, and where each is found: source, notebooks, Binder, Colab and the plain page."""

from dataclasses import dataclass
from urllib.parse import quote

from flowedit.errors import SettingError

REPOSITORY = "flowedit/flowedit"
"""Owner and name on GitHub; every badge and install line is made from it."""
BRANCH = "main"


@dataclass(frozen=True, kw_only=True)
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
    Lesson(number="00", slug="start_here", title="Start here"),
    Lesson(number="01", slug="math_verification", title="Math verification", memory=200),
    Lesson(number="02", slug="flows_by_hand", title="Flows you can solve by hand", memory=200),
    Lesson(number="03", slug="frames_latents_keyframes", title="Frames, latents, keyframes"),
    Lesson(number="04", slug="agent_keyframes", title="Agent keyframe styling"),
    Lesson(number="05", slug="full_edit", title="A full edit on the small Wan"),
    Lesson(number="06", slug="methods_and_settings", title="Which method, which settings"),
    Lesson(number="07", slug="full_wan", title="Full WAN editing"),
    Lesson(number="08", slug="your_own_model", title="Your own model"),
)
"""All lessons, in teaching order."""


def lesson(number: str) -> Lesson:
    """The lesson with this number.

    Raises:
        SettingError: there is none.

    >>> lesson("01").stem
    '01_math_verification'
    """
    for entry in CATALOG:
        if entry.number == number:
            return entry
    raise SettingError(f"There is no lesson {number!r}; use {CATALOG[0].number} to {CATALOG[-1].number}.")
