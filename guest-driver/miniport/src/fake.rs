//! A fake card and kernel.
