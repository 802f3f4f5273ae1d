"""Reading and writing weights."""

from minisam.checkpoint.load import load_checkpoint, load_state_dict, load_state_dict_into, read_metadata
from minisam.checkpoint.save import save_checkpoint

__all__ = ["load_checkpoint", "load_state_dict", "load_state_dict_into", "read_metadata", "save_checkpoint"]
