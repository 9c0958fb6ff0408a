package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// A build as BuildKit's frontend plans it.
type build struct {
	// Digest of the steps for every platform; the context and how much of it is sent are none of it, nor what images of
	// the repository bring along: that counts by itself.
	steps string
	// Paths of the context that the steps need, wildcards included; none when they need all of it.
	follow []string
	// Whether the steps need the context at all.
	context bool
	// Images of the repository that the steps need.
	dependencies map[string]bool
	// References to images of other repositories.
	external map[string]bool
	// The configuration of the image, for those built on it.
	config []byte
	// The Dockerfile's text, and where it lies.
	text []byte
	path string
	// Images that the frontend asked for before they were made.
	unmade map[string]bool
	lock   sync.Mutex
}

func (repo *repository) build(config config) (*build, error) {
	built := &build{dependencies: map[string]bool{}, external: map[string]bool{}, unmade: map[string]bool{}}
	built.path = filepath.Join(repo.sourceRoot(config), config.Dockerfile)
	var err error
	if built.text, err = os.ReadFile(built.path); err != nil {
		return built, err
	}
	args := repo.tagArguments()
	maps.Copy(args, pairs(config.BuildArgs))
	steps := map[string]any{}
	follow := map[string]bool{}
	everything := false
	for _, name := range config.Platforms {
		platform, err := platforms.Parse(name)
		if err != nil {
			return built, err
		}
		host := platforms.MustParse("linux/amd64")
		options := dockerfile2llb.ConvertOpt{TargetPlatform: &platform, MetaResolver: resolver{repo, built, false}}
		options.Target = config.Target
		options.BuildArgs = args
		options.BuildPlatforms = append(options.BuildPlatforms, host)
		state, made, _, _, err := dockerfile2llb.Dockerfile2LLB(context.Background(), built.text, options)
		for len(built.unmade) > 0 {
			// The frontend asks for several at once: they are made here, one after the other, and it asks again.
			for on := range built.unmade {
				if _, err := repo.image(on); err != nil {
					return built, err
				}
			}
			clear(built.unmade)
			state, made, _, _, err = dockerfile2llb.Dockerfile2LLB(context.Background(), built.text, options)
		}
		if err != nil {
			return built, err
		}
		definition, err := state.Marshal(context.Background(), llb.Platform(platform))
		if err != nil {
			return built, err
		}
		made.Created = nil
		made.History = nil
		if built.config, err = json.Marshal(made); err != nil {
			return built, err
		}
		digests, contexts, err := canonical(definition.Def)
		if err != nil {
			return built, err
		}
		steps[name] = []any{digests, json.RawMessage(built.config)}
		if len(built.dependencies) > 0 {
			options.MetaResolver = resolver{repo, built, true}
			if steps[name], err = own(built.text, options); err != nil {
				return built, err
			}
		}
		for _, paths := range contexts {
			built.context = true
			everything = everything || len(paths) == 0
			for _, path := range paths {
				follow[path] = true
			}
		}
	}
	if built.follow = slices.Sorted(maps.Keys(follow)); everything {
		built.follow = nil
	}
	built.steps = of(steps)
	return built, nil
}

// own are the steps of one platform on bases that bring nothing along.
func own(dockerfile []byte, options dockerfile2llb.ConvertOpt) (any, error) {
	state, made, _, _, err := dockerfile2llb.Dockerfile2LLB(context.Background(), dockerfile, options)
	if err != nil {
		return nil, err
	}
	definition, err := state.Marshal(context.Background(), llb.Platform(*options.TargetPlatform))
	if err != nil {
		return nil, err
	}
	made.Created = nil
	made.History = nil
	digests, _, err := canonical(definition.Def)
	return []any{digests, made}, err
}

// canonical gives the digests of the steps with nothing of the context in them but that it is used, and for each use
// of the context the paths that are asked for.
func canonical(definition [][]byte) ([]string, [][]string, error) {
	renamed := map[string]string{}
	var digests []string
	var contexts [][]string
	for _, bytes := range definition {
		var op pb.Op
		if err := op.Unmarshal(bytes); err != nil {
			return nil, nil, err
		}
		if source := op.GetSource(); source != nil && strings.HasPrefix(source.Identifier, "local://") {
			var paths []string
			if text := source.Attrs[pb.AttrFollowPaths]; text != "" {
				if err := json.Unmarshal([]byte(text), &paths); err != nil {
					return nil, nil, err
				}
			}
			contexts = append(contexts, paths)
			source.Attrs = nil
		}
		for _, input := range op.Inputs {
			if to, known := renamed[input.Digest]; known {
				input.Digest = to
			}
		}
		text, err := op.Marshal()
		if err != nil {
			return nil, nil, err
		}
		renamed[digest.FromBytes(bytes).String()] = digest.FromBytes(text).String()
		digests = append(digests, digest.FromBytes(text).String())
	}
	// The last one leads to all others; the order of the rest means nothing.
	slices.Sort(digests)
	return digests, contexts, nil
}

// The configuration of an image that brings nothing along.
var nothing = []byte(`{"architecture":"amd64","os":"linux"}`)

// A resolver answers for images: those of the repository are as their own build makes them, others are empty.
type resolver struct {
	repo  *repository
	built *build
	// Whether those of the repository are empty, too.
	empty bool
}

func (r resolver) ResolveImageConfig(_ context.Context, name string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	parsed, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", "", nil, err
	}
	said := parsed.String()
	r.built.lock.Lock()
	defer r.built.lock.Unlock()
	on, own := r.repo.named(said)
	if !own {
		r.built.external[said] = true
		return name, digest.FromString(said), nothing, nil
	}
	r.built.dependencies[on] = true
	if r.empty {
		return name, digest.FromString(said), nothing, nil
	}
	image, made := r.repo.made[on]
	if !made {
		r.built.unmade[on] = true
		return "", "", nil, fmt.Errorf("%s is not made yet", on)
	}
	if image.Broken != "" {
		return "", "", nil, fmt.Errorf("%s is broken: %s", on, image.Broken)
	}
	// What it is built from counts by itself; here its reference is the same whatever it holds.
	return name, digest.FromString(said), image.config, nil
}

var _ llb.ImageMetaResolver = resolver{}
