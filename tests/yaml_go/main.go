// Reads YAML documents from stdin as kubectl does and answers each with its JSON, or with an error.
//
// Both sides of the conversation are one JSON value a line: a string in, {"json": …} or {"error": "…"} out.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"sigs.k8s.io/yaml"
)

type answer struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := bufio.NewWriter(os.Stdout)
	for in.More() {
		var document string
		if err := in.Decode(&document); err != nil {
			log.Fatal(err)
		}
		read, err := yaml.YAMLToJSON([]byte(document))
		reply := answer{JSON: read}
		if err != nil {
			reply = answer{Error: err.Error()}
		}
		line, err := json.Marshal(reply)
		if err != nil {
			log.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
