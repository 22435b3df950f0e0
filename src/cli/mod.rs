//! The command line: one file per subcommand, each turning arguments into one library call.
