"""Pure code without I/O: records, geometry, text, plate syntax, fusion and lists."""
