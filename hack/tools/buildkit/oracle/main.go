// Command oracle says what the images of a checked-out repository are built from, for hephy's model test.
//
// It is the truth that hephy's plan is compared with, so none of it is hephy's: BuildKit's own frontend turns a
// Dockerfile into build steps (which also tells which images and which paths of the context they need), and
// BuildKit's own file transfer walks the context. Two checkouts with equal digests would be built alike.
//
// Each line on stdin is a request, each line on stdout its answer; see request and answer.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
)

// A request names a checkout.
type request struct {
	Root string `json:"root"`
	// Used where hephy.yaml names none.
	Registry string `json:"registry"`
	Backend  string `json:"backend"`
}

// An answer has one entry an image, by its name.
type answer struct {
	Images map[string]*image `json:"images"`
	Error  string            `json:"error,omitempty"`
}

// An image as it would be built from the checkout.
type image struct {
	Name string `json:"name"`
	// Names of the images that it is built on, sorted.
	Dependencies []string `json:"dependencies"`
	// What it is built for, as it was written.
	Platforms []string `json:"platforms"`
	// What a build sees. README.md and ignored paths are none of it.
	Truth map[string]string `json:"truth"`
	// Truth, and what counts by a declared exception although no build sees it.
	Rule map[string]string `json:"rule"`
	// Why more counts than a build sees.
	Exceptions []string `json:"exceptions"`
	// What a build sees, README.md and ignored paths included.
	Whole string `json:"whole"`
	// Why it cannot be built.
	Broken string `json:"broken,omitempty"`

	config []byte // of the image, as BuildKit's frontend makes it
}

func main() {
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			log.Fatal(err)
		}
		said := answer{}
		if said.Images, err = images(asked); err != nil {
			said.Error = err.Error()
		}
		if err := out.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
}
