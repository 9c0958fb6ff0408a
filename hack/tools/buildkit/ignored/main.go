// Says which files of a build context builders see by an ignore file, with their own libraries: what hephy's reading
// of ignore files is compared with. A question is one line of JSON, and so is its answer.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	gofs "io/fs"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// In texts each character stands for the byte of its number: names need not be UTF-8.
type question struct {
	Ignore string   `json:"ignore"`
	Files  []string `json:"files"`
}

// What is seen: files, and directories that hold nothing that is seen, with a slash behind; none when the builder
// refuses the ignore file.
type answer struct {
	BuildKit *[]string `json:"buildkit"`
	Kaniko   *[]string `json:"kaniko"`
}

// files is a file system of names alone, directories included, in the order of a walk.
type files []*types.Stat

func (files files) Walk(_ context.Context, _ string, fn gofs.WalkDirFunc) error {
	skipped := ""
	for _, stat := range files {
		if skipped != "" && strings.HasPrefix(stat.Path, skipped) {
			continue
		}
		err := fn(stat.Path, &fsutil.DirEntryInfo{Stat: stat}, nil)
		if err == gofs.SkipDir {
			if stat.IsDir() {
				skipped = stat.Path + "/"
			} else {
				skipped = path.Dir(stat.Path) + "/"
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (files files) Open(string) (io.ReadCloser, error) { return nil, os.ErrNotExist }

func toBytes(text string) string {
	bytes := make([]byte, 0, len(text))
	for _, character := range text {
		bytes = append(bytes, byte(character))
	}
	return string(bytes)
}

func fromBytes(text string) string {
	characters := make([]rune, 0, len(text))
	for _, one := range []byte(text) {
		characters = append(characters, rune(one))
	}
	return string(characters)
}

func tree(names []string) files {
	stats := map[string]*types.Stat{}
	for _, name := range names {
		name = toBytes(name)
		stats[name] = &types.Stat{Path: name, Mode: 0o644}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			stats[dir] = &types.Stat{Path: dir, Mode: uint32(os.ModeDir) | 0o755}
		}
	}
	var all files
	for _, stat := range stats {
		all = append(all, stat)
	}
	// As a walk goes: a directory's files behind it, before what sorts behind its name.
	key := func(name string) string { return strings.ReplaceAll(name, "/", "\x00") }
	sort.Slice(all, func(a, b int) bool { return key(all[a].Path) < key(all[b].Path) })
	return all
}

func (files files) buildKit(patterns []string) *[]string {
	filtered, err := fsutil.NewFilterFS(files, &fsutil.FilterOpt{ExcludePatterns: patterns})
	if err != nil {
		return nil
	}
	var seen []*types.Stat
	err = filtered.Walk(context.Background(), "", func(_ string, entry gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		seen = append(seen, info.Sys().(*types.Stat))
		return nil
	})
	if err != nil {
		return nil
	}
	return shown(seen)
}

func (files files) kaniko(patterns []string) *[]string {
	var seen []*types.Stat
	for _, stat := range files {
		excluded, err := patternmatcher.Matches(stat.Path, patterns)
		if err != nil {
			return nil
		}
		if !excluded {
			seen = append(seen, stat)
		}
	}
	return shown(seen)
}

func shown(seen []*types.Stat) *[]string {
	full := map[string]bool{}
	for _, stat := range seen {
		for dir := path.Dir(stat.Path); dir != "."; dir = path.Dir(dir) {
			full[dir] = true
		}
	}
	names := []string{}
	for _, stat := range seen {
		switch {
		case !stat.IsDir():
			names = append(names, fromBytes(stat.Path))
		case !full[stat.Path]:
			names = append(names, fromBytes(stat.Path+"/"))
		}
	}
	return &names
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		files := tree(asked.Files)
		var said answer
		if patterns, err := ignorefile.ReadAll(strings.NewReader(toBytes(asked.Ignore))); err == nil {
			said = answer{BuildKit: files.buildKit(patterns), Kaniko: files.kaniko(patterns)}
		}
		if err := json.NewEncoder(out).Encode(said); err != nil {
			panic(err)
		}
	}
}
