package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	gofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// files adds what a build sees of the context, and what counts beyond that by a declared exception.
func (repo *repository) files(config config, built *build, image *image) error {
	root := repo.sourceRoot(config)
	place := filepath.Join(root, config.ContextPath)
	all, err := fsutil.NewFS(place)
	if err != nil {
		image.Broken = err.Error()
		return nil
	}
	image.Rule["dockerfile"] = of(built.text)
	image.Rule["links"] = of([]string{links(root, config.ContextPath), links(root, config.Dockerfile)})
	relative, err := filepath.Rel(repo.Root, place)
	if err != nil {
		return err
	}
	counted, err := countedOnly(all, relative, config.Ignore)
	if err != nil {
		return err
	}
	patterns, err := excluded(place, built.path)
	if err != nil {
		image.Broken = err.Error()
	}
	sent := fsutil.FilterOpt{ExcludePatterns: patterns, FollowPaths: built.follow}
	if image.Truth["files"], err = listing(counted, sent, built.context); err != nil {
		return err
	}
	if image.Whole, err = listing(all, sent, built.context); err != nil {
		return err
	}

	if why := notLiteral(built, config.Target); why != "" {
		image.Exceptions = append(image.Exceptions, why)
	}
	hidden := func(name string) bool {
		return path.Base(name) == "README.md" || matches(config.Ignore, path.Join(relative, name))
	}
	if slices.ContainsFunc(built.follow, func(source string) bool { return strays(place, source, hidden) }) {
		image.Exceptions = append(image.Exceptions, "source behind an odd link")
	}
	if bytes.Contains(built.config, []byte(`"OnBuild":[`)) {
		image.Exceptions = append(image.Exceptions, "onbuild")
	}
	for on := range built.dependencies {
		if base := repo.made[on]; base != nil && bytes.Contains(base.config, []byte(`"OnBuild":[`)) {
			image.Exceptions = append(image.Exceptions, "onbuild of a base")
		}
	}
	if len(built.external) > 0 {
		image.Exceptions = append(image.Exceptions, "base of another repository")
	}
	if len(image.Exceptions) > 0 {
		wide := fsutil.FilterOpt{ExcludePatterns: patterns}
		if image.Rule["wide"], err = listing(counted, wide, true); err != nil {
			return err
		}
	}
	return nil
}

// excluded are the patterns of <Dockerfile>.dockerignore, else of the context's .dockerignore, as BuildKit looks for them.
func excluded(place, dockerfile string) ([]string, error) {
	for _, file := range []string{dockerfile + ".dockerignore", filepath.Join(place, ".dockerignore")} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		return ignorefile.ReadAll(bytes.NewReader(text))
	}
	return nil, nil
}

// listing is the digest of everything that is sent.
func listing(files fsutil.FS, filter fsutil.FilterOpt, used bool) (string, error) {
	if !used {
		return "unused", nil
	}
	filtered, err := fsutil.NewFilterFS(files, &filter)
	if err != nil {
		return "refused: " + err.Error(), nil
	}
	hash := sha256.New()
	err = filtered.Walk(context.Background(), "", func(name string, entry gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		switch stat := info.Sys().(*types.Stat); {
		case entry.IsDir():
		case stat.Linkname != "" && info.Mode()&os.ModeSymlink != 0:
			content = stat.Linkname
		default:
			file, err := files.Open(name)
			if err != nil {
				return err
			}
			bytes, err := io.ReadAll(file)
			file.Close()
			if err != nil {
				return err
			}
			content = string(bytes)
		}
		if os.Getenv("ORACLE_TRACE") != "" {
			fmt.Fprintf(os.Stderr, "  %q %v\n", name, info.Mode())
		}
		fmt.Fprintf(hash, "%d %s %v %d %s\n", len(name), name, info.Mode(), len(content), content)
		return nil
	})
	if os.Getenv("ORACLE_TRACE") != "" {
		fmt.Fprintf(os.Stderr, "listing %q %q\n", filter.FollowPaths, filter.ExcludePatterns)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), err
}

// counted is a tree without the files that never count, and without directories that hold nothing else.
type counted struct {
	fsutil.FS
	kept map[string]bool
}

func countedOnly(all fsutil.FS, prefix string, ignored []string) (fsutil.FS, error) {
	kept := map[string]bool{}
	err := all.Walk(context.Background(), "", func(name string, entry gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		whole := path.Join(prefix, name)
		if whole == ".git" || whole == ".hephy" {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.IsDir() || path.Base(name) == "README.md" || matches(ignored, whole) {
			return nil
		}
		for ; name != "." && !kept[name]; name = path.Dir(name) {
			kept[name] = true
		}
		return nil
	})
	return counted{all, kept}, err
}

func (c counted) Walk(ctx context.Context, target string, fn gofs.WalkDirFunc) error {
	return c.FS.Walk(ctx, target, func(name string, entry gofs.DirEntry, err error) error {
		if err == nil && !c.kept[name] {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return fn(name, entry, err)
	})
}

// matches tells whether a glob of `ignore` or `watch` means a path: whole parts, `**` for any number of them, and
// behind a slash at the end everything below.
func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if strings.HasSuffix(glob, "/") {
			glob += "**"
		}
		if match(strings.Split(glob, "/"), strings.Split(name, "/")) {
			return true
		}
	}
	return false
}

func match(globs, parts []string) bool {
	switch {
	case len(globs) == 0:
		return len(parts) == 0
	case globs[0] == "**" && len(globs) == 1:
		return len(parts) > 0
	case globs[0] == "**":
		return match(globs[1:], parts) || len(parts) > 0 && match(globs, parts[1:])
	case len(parts) == 0:
		return false
	}
	glob := strings.ReplaceAll(globs[0], "[!", "[^")
	ok, err := path.Match(glob, parts[0])
	return err == nil && ok && match(globs[1:], parts[1:])
}

// watched is the digest of the files that `watch` means, anywhere in the repository.
func (repo *repository) watched(globs []string) (string, error) {
	if len(globs) == 0 {
		return "", nil
	}
	var found []string
	err := filepath.WalkDir(repo.Root, func(file string, entry gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(repo.Root, file)
		if err != nil {
			return err
		}
		if name == ".git" || name == ".hephy" {
			return filepath.SkipDir
		}
		if entry.IsDir() || !matches(globs, name) {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := []byte(nil), error(nil)
		if info.Mode()&os.ModeSymlink != 0 {
			var to string
			to, err = os.Readlink(file)
			content = []byte(to)
		} else {
			content, err = os.ReadFile(file)
		}
		found = append(found, fmt.Sprintf("%x %v %x", name, info.Mode(), sha256.Sum256(content)))
		return err
	})
	slices.Sort(found)
	return of(found), err
}

// links are the symbolic links on the way to a path, and where they lead: they count by themselves.
func links(root, name string) string {
	var found []string
	at, todo := root, strings.Split(filepath.Clean(name), "/")
	for steps := 0; len(todo) > 0 && steps < 200; steps++ {
		next := filepath.Join(at, todo[0])
		todo = todo[1:]
		if to, err := os.Readlink(next); err == nil {
			found = append(found, next[len(root):], to)
			todo = append(strings.Split(filepath.Clean(to), "/"), todo...)
			continue
		}
		at = next
	}
	return strings.Join(found, "\x00")
}

// strays tells whether a link on the way to a source is absolute, leads above the context (BuildKit takes the
// context's root for both, other builders do not) or to nothing, or does not count itself.
func strays(place, source string, hidden func(string) bool) bool {
	var at []string
	todo := strings.Split(path.Clean(source), "/")
	followed := false
	for steps := 0; len(todo) > 0 && steps < 200; steps++ {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return true
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, part)
		name := path.Join(at...)
		to, err := os.Readlink(filepath.Join(place, name))
		if err != nil {
			continue
		}
		if path.IsAbs(to) || hidden(name) {
			return true
		}
		followed = true
		at = at[:len(at)-1]
		todo = append(strings.Split(to, "/"), todo...)
	}
	_, err := os.Lstat(filepath.Join(place, filepath.Join(at...)))
	return followed && (err != nil || len(todo) > 0)
}

// notLiteral says why the sources of the stages that are built are not all literal paths.
func notLiteral(built *build, target string) string {
	parsed, err := parser.Parse(bytes.NewReader(built.text))
	if err != nil {
		return ""
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return ""
	}
	literal := func(sources ...string) bool {
		return !slices.ContainsFunc(sources, func(source string) bool { return strings.ContainsAny(source, `*?[\$`) })
	}
	for _, stage := range reachable(stages, target) {
		for _, command := range stage.Commands {
			switch command := command.(type) {
			case *instructions.CopyCommand:
				if command.From == "" && !literal(command.SourcePaths...) {
					return "source with wildcards or variables"
				}
			case *instructions.AddCommand:
				if !literal(command.SourcePaths...) {
					return "source with wildcards or variables"
				}
			case *instructions.RunCommand:
				for _, mount := range instructions.GetMounts(command) {
					if mount.From == "" && !literal(mount.Source) {
						return "source with wildcards or variables"
					}
				}
			}
		}
	}
	return ""
}

// reachable are the stages that a build of target goes through.
func reachable(stages []instructions.Stage, target string) []instructions.Stage {
	at := len(stages) - 1
	if target != "" {
		if found, ok := instructions.HasStage(stages, target); ok {
			at = found
		}
	}
	seen := map[int]bool{}
	var visit func(int)
	visit = func(at int) {
		if at < 0 || seen[at] {
			return
		}
		seen[at] = true
		before := stages[:at]
		need := func(name string) {
			if strings.Contains(name, "$") {
				// Any of them, as far as this can tell.
				for earlier := range before {
					visit(earlier)
				}
				return
			}
			if found, ok := instructions.HasStage(before, name); ok {
				visit(found)
				return
			}
			var number int
			if count, err := fmt.Sscanf(name, "%d", &number); err == nil && count == 1 && number < at {
				visit(number)
			}
		}
		need(stages[at].BaseName)
		for _, command := range stages[at].Commands {
			switch command := command.(type) {
			case *instructions.CopyCommand:
				need(command.From)
			case *instructions.RunCommand:
				for _, mount := range instructions.GetMounts(command) {
					need(mount.From)
				}
			}
		}
	}
	visit(at)
	var found []instructions.Stage
	for at, stage := range stages {
		if seen[at] {
			found = append(found, stage)
		}
	}
	return found
}
