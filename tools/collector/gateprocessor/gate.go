package gateprocessor

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
)

// errStarting becomes UNAVAILABLE over gRPC and 503 over HTTP. Senders retry after both.
var errStarting = errors.New("the pipeline is still starting: retry")

// gate is the processor of one pipeline.
type gate struct {
	open  atomic.Bool
	drain *drain
}

// start opens the gate. The Collector starts a component only when everything behind it has started.
func (g *gate) start(context.Context, component.Host) error {
	g.open.Store(true)
	return nil
}

// pass returns an error while the gate is closed.
func (g *gate) pass() error {
	if g.open.Load() {
		return nil
	}
	return errStarting
}

// shutdown waits until the queues are empty. The Collector stops a component only when everything in front of it has
// stopped, so no new data arrives. The components behind the gate keep working until shutdown returns.
func (g *gate) shutdown(ctx context.Context) error {
	// A gate that never started passed no data, so there is nothing to wait for.
	if g.open.Load() {
		g.drain.wait(ctx)
	}
	return nil
}
