package gateprocessor

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
)

// errStarting becomes UNAVAILABLE over gRPC and 503 over HTTP: whoever sends repeats it.
var errStarting = errors.New("the pipeline is starting: send again")

// gate is the one in a pipeline.
type gate struct {
	open  atomic.Bool
	drain *drain
}

// start opens it. The Collector starts a component only when everything behind it has started.
func (g *gate) start(context.Context, component.Host) error {
	g.open.Store(true)
	return nil
}

func (g *gate) pass() error {
	if g.open.Load() {
		return nil
	}
	return errStarting
}

// shutdown holds the stop. The Collector stops a component only when everything in front of it has stopped: nothing
// more comes, and what is behind goes on working until this returns.
func (g *gate) shutdown(ctx context.Context) error {
	// One that never started has nothing behind it to wait for.
	if g.open.Load() {
		g.drain.wait(ctx)
	}
	return nil
}
