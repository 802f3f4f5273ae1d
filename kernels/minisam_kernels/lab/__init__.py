"""The kernel lab: is a kernel right, does it stay inside its tensors, what became of it, how fast is it."""
