"""The kernel lab: is a kernel correct, does it stay within its tensors, what does it compile to, how fast is it."""
