// Reads an Ignition file as Ignition does at a machine's first boot, and says what is wrong with it, as ignition-validate
// does. That program is one of the same module, in a package that no other can import.
package main

import (
	"fmt"
	"os"

	"github.com/coreos/ignition/v2/config"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: ignition FILE")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	_, report, err := config.Parse(text)
	if len(report.Entries) > 0 {
		fmt.Println(report.String())
	}
	if err != nil || report.IsFatal() {
		fail("the file is not valid: ", err)
	}
}

func fail(why ...any) {
	fmt.Fprintln(os.Stderr, why...)
	os.Exit(1)
}
