import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisam.cli.main import main
from minisam.data.partworld import render_scenes
from minisam.errors import PromptError
from minisam.text.tokenizer import PADDING, Tokenizer
from minisam.text.vocabulary import FILE, words_of

TOKENIZER = Tokenizer()


@given(st.lists(st.sampled_from(TOKENIZER.words), min_size=1, max_size=14))
def test_words_come_back(words):
    text = " ".join(words)
    tokens = TOKENIZER.encode(text)
    assert TOKENIZER.decode(tokens) == text
    assert tokens[0] == TOKENIZER.start and tokens[-1] == TOKENIZER.end == max(tokens)
    (row,) = TOKENIZER([text]).tolist()
    assert row[: len(tokens)] == tokens and set(row[len(tokens) :]) <= {PADDING}
    assert TOKENIZER.decode(row) == text
    assert TOKENIZER.vocab_size == max(tokens) + 1


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        tokens = TOKENIZER.encode(text)
    except PromptError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert set(TOKENIZER.decode(tokens).split()) <= set(TOKENIZER.words)


def test_capitals_and_punctuation_do_not_matter():
    assert TOKENIZER.encode("  Red, STRIPED wheel! ") == TOKENIZER.encode("red striped wheel")


def test_every_caption_of_the_training_world_can_be_read():
    scenes = render_scenes(3, 24, 32)
    captions = [caption for phrases in scenes.captions for caption in phrases if caption]
    assert len(captions) > 200
    for caption in captions:
        assert TOKENIZER.decode(TOKENIZER.encode(caption)) == caption


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no words"),
        (" ?! ", "no words"),
        ("red wheal", "'wheal' is not one of.*: wheel"),
        ("zzxq", "'zzxq' is not one of the 226 known words .`minisam text words`"),
        (" ".join(["red"] * 15), "15 words and only 14 fit"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    with pytest.raises(PromptError, match=message):
        TOKENIZER.encode(text)


def test_the_vocabulary_is_what_its_command_writes(tmp_path, capsys):
    assert main(["text", "words", "-o", str(tmp_path / "words.txt")]) == 0
    assert (tmp_path / "words.txt").read_bytes() == FILE.read_bytes()
    assert main(["text", "words"]) == 0
    assert capsys.readouterr().out.split() == words_of()
