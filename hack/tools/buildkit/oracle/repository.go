package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A repository as it lies on disk.
type repository struct {
	request
	layout   string
	defaults config
	configs  map[string]config // by the image's name
	made     map[string]*image
	making   map[string]bool
}

// The fields of a configuration that decide something here; all scalars as they were written.
type config struct {
	ContextFrom string    `yaml:"context_from"`
	ContextPath string    `yaml:"context_path"`
	Dockerfile  string    `yaml:"dockerfile_path"`
	Target      string    `yaml:"target"`
	Targets     []target  `yaml:"targets"`
	BuildArgs   yaml.Node `yaml:"build_args"`
	Platforms   []string  `yaml:"platforms"`
	Backend     string    `yaml:"build_backend"`
	Tags        []string  `yaml:"additional_tags"`
	DependsOn   []string  `yaml:"depends_on"`
	Watch       []string  `yaml:"watch"`
	Ignore      []string  `yaml:"ignore"`
	Labels      yaml.Node `yaml:"labels"`
	Annotations yaml.Node `yaml:"annotations"`

	dir string
}

// One of several images of a configuration.
type target struct {
	Target string   `yaml:"target"`
	Name   string   `yaml:"name"`
	Tags   []string `yaml:"additional_tags"`
}

// UnmarshalYAML reads a mapping, or a stage alone.
func (t *target) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*t = target{Target: node.Value, Name: node.Value}
		return nil
	}
	type plain target
	if err := node.Decode((*plain)(t)); err != nil {
		return err
	}
	if t.Name == "" {
		t.Name = t.Target
	}
	return nil
}

type rootConfig struct {
	Registry  string   `yaml:"registry"`
	Layout    string   `yaml:"layout"`
	Platforms []string `yaml:"platforms"`
	Backend   string   `yaml:"backend"`
	Ignore    []string `yaml:"ignore"`
}

func images(asked request) (map[string]*image, error) {
	repo := &repository{request: asked, configs: map[string]config{}, made: map[string]*image{}, making: map[string]bool{}}
	if err := repo.read(); err != nil {
		return nil, err
	}
	for name := range repo.configs {
		if _, err := repo.image(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return repo.made, nil
}

func (repo *repository) read() error {
	var root rootConfig
	if text, err := os.ReadFile(filepath.Join(repo.Root, "hephy.yaml")); err == nil {
		if err := yaml.Unmarshal(text, &root); err != nil {
			return err
		}
	}
	if root.Registry != "" {
		repo.Registry = root.Registry
	}
	if repo.Registry == "" {
		repo.Registry = "registry.invalid/none"
	}
	if repo.Backend == "" {
		repo.Backend = root.Backend
	}
	repo.layout = root.Layout
	return filepath.WalkDir(repo.Root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && filepath.Dir(file) == repo.Root && (entry.Name() == ".git" || entry.Name() == ".hephy") {
			return filepath.SkipDir
		}
		if entry.Name() != "build-config.yaml" || entry.IsDir() {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found := config{ContextPath: ".", Dockerfile: "Dockerfile", ContextFrom: "directory"}
		if err := yaml.Unmarshal(text, &found); err != nil {
			return err
		}
		if len(found.Platforms) == 0 {
			found.Platforms = root.Platforms
		}
		if len(found.Platforms) == 0 {
			found.Platforms = []string{"linux/amd64"}
		}
		if found.Backend == "" {
			found.Backend = repo.Backend
		}
		found.Ignore = append(append([]string{}, root.Ignore...), found.Ignore...)
		if found.dir, err = filepath.Rel(repo.Root, filepath.Dir(file)); err != nil {
			return err
		}
		repo.add(found)
		return nil
	})
}

// add takes in the images of a directory: one, or one a target.
func (repo *repository) add(found config) {
	name := strings.ReplaceAll(found.dir, "/", "-")
	if len(found.Targets) == 0 {
		repo.configs[name] = found
	}
	for _, target := range found.Targets {
		one := found
		one.Target, one.Tags = target.Target, append(append([]string{}, found.Tags...), target.Tags...)
		repo.configs[name+"-"+target.Name] = one
	}
}

// variableOf is the X of X_TAG.
func variableOf(name string) string {
	return strings.Map(func(char rune) rune {
		switch {
		case char >= 'a' && char <= 'z':
			return char - 'a' + 'A'
		case char >= 'A' && char <= 'Z', char >= '0' && char <= '9':
			return char
		}
		return '_'
	}, name)
}

// tagArguments are the arguments that stand for tags of other images, as a build gets them.
func (repo *repository) tagArguments() map[string]string {
	args := map[string]string{"ECR_REGISTRY": repo.Registry, "HEPHY_REGISTRY": repo.Registry}
	for name := range repo.configs {
		args[variableOf(name)+"_TAG"] = "pinned-" + name
	}
	return args
}

// named tells which image of this repository a reference means.
func (repo *repository) named(reference string) (string, bool) {
	rest, own := strings.CutPrefix(reference, repo.Registry)
	if !own {
		return "", false
	}
	for name, config := range repo.configs {
		for _, tag := range append([]string{"latest", "head"}, config.Tags...) {
			if rest == ":"+name+"-"+tag && repo.layout != "per-image" ||
				rest == "/"+strings.ToLower(name)+":"+tag && repo.layout == "per-image" {
				return name, true
			}
		}
		if rest == ":pinned-"+name || rest == "/"+strings.ToLower(name)+":pinned-"+name {
			return name, true
		}
	}
	return "", false
}

// sourceRoot is the directory that a configuration's paths are relative to.
func (repo *repository) sourceRoot(config config) string {
	if config.ContextFrom == "repository" {
		return repo.Root
	}
	return filepath.Join(repo.Root, config.dir)
}

// image says what the image of a name is built from.
func (repo *repository) image(name string) (*image, error) {
	if made, ok := repo.made[name]; ok {
		return made, nil
	}
	if repo.making[name] {
		return nil, fmt.Errorf("%s is built on itself", name)
	}
	repo.making[name] = true
	config := repo.configs[name]
	image := &image{Name: name, Platforms: config.Platforms, Truth: map[string]string{}, Rule: map[string]string{}, Dependencies: []string{}}
	built, err := repo.build(config)
	if err != nil {
		image.Broken = err.Error()
		built = &build{}
	}
	dependencies := map[string]bool{}
	for on := range built.dependencies {
		dependencies[on] = true
	}
	for on, other := range repo.configs {
		// A directory means all of its images.
		if slices.ContainsFunc(config.DependsOn, func(dir string) bool { return path.Clean(dir) == other.dir }) {
			dependencies[on] = true
		}
	}
	for on := range dependencies {
		found, err := repo.image(on)
		if err != nil {
			return nil, err
		}
		image.Dependencies = append(image.Dependencies, on)
		image.Truth["dependency "+on] = of(found.Truth)
		image.Rule["dependency "+on] = of(found.Rule)
	}
	sort.Strings(image.Dependencies)

	watched, err := repo.watched(config.Watch)
	if err != nil {
		return nil, err
	}
	image.Truth["configuration"] = of(fields(config))
	image.Truth["steps"] = built.steps
	image.Truth["watch"] = watched
	image.config = built.config
	if err := repo.files(config, built, image); err != nil {
		return nil, err
	}
	for part, digest := range image.Truth {
		if !strings.HasPrefix(part, "dependency ") {
			image.Rule[part] = digest
		}
	}
	repo.made[name] = image
	return image, nil
}

// fields are those of a configuration that count, in a form that order and quotes do not change.
func fields(config config) map[string]any {
	platforms := append([]string{}, config.Platforms...)
	sort.Strings(platforms)
	return map[string]any{
		"context_from": config.ContextFrom, "context_path": config.ContextPath, "dockerfile_path": config.Dockerfile,
		"target": config.Target, "platforms": platforms, "backend": config.Backend,
		"build_args": pairs(config.BuildArgs), "labels": pairs(config.Labels), "annotations": pairs(config.Annotations),
	}
}

// pairs reads a mapping, or a list of KEY=VALUE.
func pairs(node yaml.Node) map[string]string {
	found := map[string]string{}
	switch node.Kind {
	case yaml.MappingNode:
		for at := 0; at+1 < len(node.Content); at += 2 {
			found[node.Content[at].Value] = node.Content[at+1].Value
		}
	case yaml.SequenceNode:
		for _, entry := range node.Content {
			name, value, _ := strings.Cut(entry.Value, "=")
			found[name] = value
		}
	}
	return found
}

// of is the digest of a value; maps are written in the order of their keys.
func of(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
