//! From a configuration and its secrets to the files of an asset directory. Pure.
