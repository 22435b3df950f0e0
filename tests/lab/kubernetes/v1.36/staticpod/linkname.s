// Bodies of functions that are linked by name are elsewhere; the compiler asks for a file like this one to believe it.
