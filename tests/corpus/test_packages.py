"""course_lib.corpus.packages: docstrings of installed packages as a corpus."""

import gzip
import os
import re

import pytest

from course_lib.corpus import PACKAGES, docstrings, packages
from course_lib.corpus.markup import plain
from course_lib.datasets import Document
from course_lib.errors import DataError

SOURCE = '''"""The module does two things."""
import does_not_exist

class A:
    """The class is the first thing."""
    x = 3
    """The attribute has a docstring too."""

    def f(self):
        """The method is in the class."""
        return """This text is no docstring."""

if A:
    async def g():
        """The function is behind a condition."""

add_docstr(f.abs, r"""
abs(input) -> Tensor

The absolute value of each of them.
""".format(**common))
add_newdoc("numpy", "abs", ("f", """
The tuple has the text of it.
"""))
'''


def test_a_document_is_a_module_its_docstrings_in_the_order_of_the_file_and_nothing_is_imported(install):
    install("mine", {"a.py": SOURCE, "b/c.py": '"""The second module is here."""', "empty.py": "x = 1"})
    corpus = docstrings(["mine"])
    assert list(corpus.documents) == [
        Document(
            (
                "The module does two things.",
                "The class is the first thing.",
                "The attribute has a docstring too.",
                "The method is in the class.",
                "The function is behind a condition.",
                "The absolute value of each of them.",
                "The tuple has the text of it.",
            )
        ),
        Document(("The second module is here.",)),
    ]
    assert corpus.sources() == {"mine": 2}
    assert corpus.versions == {"mine": "1.0"}
    assert repr(corpus) == "Corpus('docstrings', 2 documents, 8 sentences, 48 words, 242 characters)"


def test_repeats_are_kept_once_over_all_packages_and_counted(install):
    text = "This is said in the two of them."
    install("one", {"a.py": f'"""{text}\n\nAnd this is said by one."""'})
    install("two", {"a.py": f'"""{text}\n\nAnd that is said by the other."""'})
    corpus = docstrings(["one", "two"])
    assert [d.sentences for d in corpus.documents] == [
        (text, "And this is said by one."),
        ("And that is said by the other.",),
    ]
    assert corpus.notes[0].startswith("27% of the text stood in several places and was kept once (32 of 118 characters")
    assert next(iter(docstrings(["two", "one"]).documents)).source == "two"


def test_tests_bundled_packages_and_broken_files_are_left_out(install):
    good = '"""This one is a part of it."""'
    files = {
        "good.py": good,
        "tests/a.py": '"""This one is a test of it."""',
        "test_b.py": '"""This is a test of it."""',
    }
    files |= {
        "_vendor/c.py": '"""This one is from another."""',
        "old.py": 'print "this is not of the python of today" """a"""',
    }
    install("mine", files)
    assert list(docstrings("mine").documents) == [Document(("This one is a part of it.",))]


def test_the_name_of_the_distribution_will_do(install):
    install("mine", {"a.py": '"""This is a part of it."""'}, called="my-package")
    assert docstrings(["my-package", "mine", "My_Package"]).versions == {"mine": "1.0"}


def test_what_was_read_is_kept_under_the_version_and_the_rules(install, cache):
    folder = install("mine", {"a.py": '"""This is how it was."""'})
    before = docstrings("mine")
    (folder / "a.py").write_text('"""This is how it is now."""', encoding="utf-8")
    assert docstrings("mine").documents == before.documents  # from the cache
    (kept,) = (cache / "docstrings").iterdir()
    assert re.fullmatch(r"mine-1\.0-[0-9a-f]{12}\.json\.gz", kept.name)
    (folder.parent / "mine-1.0.dist-info").rename(folder.parent / "mine-1.1.dist-info")
    metadata = folder.parent / "mine-1.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("1.0", "1.1"), encoding="utf-8")
    now = docstrings("mine")
    assert (now.versions, list(now.documents)) == ({"mine": "1.1"}, [Document(("This is how it is now.",))])


@pytest.mark.parametrize(
    "damage", [b"", b"no archive", gzip.compress(b"no JSON", mtime=0)]
)  # the same name in each process
def test_a_damaged_cache_is_read_again(install, cache, damage):
    install("mine", {"a.py": '"""This is how it was."""'})
    docstrings("mine")
    (kept,) = (cache / "docstrings").iterdir()
    kept.write_bytes(damage)
    assert len(docstrings("mine").documents) == 1
    assert kept.read_bytes() != damage


def test_a_cache_that_cannot_be_written_only_means_reading_again(install, tmp_path, monkeypatch):
    install("mine", {"a.py": '"""This is how it was."""'})
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))  # a file where the folder should be
    assert len(docstrings("mine").documents) == 1


def test_a_writing_that_fails_leaves_nothing_half_written(install, cache, monkeypatch):
    install("mine", {"a.py": '"""This is how it was."""'})

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(packages.Path, "replace", full)
    assert len(docstrings("mine").documents) == 1
    assert os.listdir(cache / "docstrings") == []  # noqa: PTH208


def test_a_package_without_a_known_version_is_not_kept(install, cache):
    install("mine", {"a.py": '"""This is how it was."""'}, version=None)
    assert docstrings("mine").versions == {"mine": ""}
    assert not cache.exists()


def test_a_package_that_is_not_installed_is_named_with_one_that_is_spelt_nearly_so():
    with pytest.raises(DataError, match=r"^There is no package 'trasformers' .*did you mean 'transformers'\?.*\.$"):
        docstrings(["trasformers"])
    with pytest.raises(DataError, match="There is no package ''"):
        docstrings([""])


def test_no_docstrings_is_a_fault(install):
    install("mine", {"a.py": "x = 3"})
    with pytest.raises(DataError, match="No docstrings were found in mine"):
        docstrings(["mine"])
    with pytest.raises(DataError, match="No docstrings were found in no package"):
        docstrings([])


def test_packages_that_are_not_installed_are_noted_where_none_was_asked_for(install, monkeypatch):
    install("mine", {"a.py": '"""This is how it was."""'})
    monkeypatch.setattr(packages, "PACKAGES", ("mine", "not_here"))
    assert docstrings().notes[1] == "Not installed, so not read: not_here."


def test_a_real_package_gives_english_with_hardly_any_markup():
    corpus = docstrings(["traitlets", "jinja2", "tqdm"])
    assert set(corpus.sources()) == {"traitlets", "jinja2", "tqdm"} <= set(PACKAGES)
    sentences = list(corpus.sentences())
    assert 1_000 < len(sentences) < 5_000
    assert 6 < corpus.counts["words"] / len(sentences) < 20
    marked = [s for s in sentences if "`" in s or ">>>" in s or "::" in s or re.search(r":\w+:\w", s)]
    assert len(marked) < 0.005 * len(sentences)
    assert sum(plain(s) == s for s in sentences) > 0.98 * len(sentences)
