// Package retryexhausted implements sightline_retry_exhausted, an extension that lets an exporter retry after the gRPC
// status RESOURCE_EXHAUSTED.
//
// According to the specification of OTLP, a client retries after this status only if the status contains RetryInfo
// (https://opentelemetry.io/docs/specs/otlp/#failures). A log store whose disk is full responds with the HTTP status 429,
// which Jaeger hands over as RESOURCE_EXHAUSTED without RetryInfo. The exporter would drop the batch, although the store
// accepts it as soon as the disk has space. The extension adds RetryInfo to the status. It contains no delay, so the
// exporter waits as after other temporary errors.
//
// An exporter uses the extension if `middlewares` of the exporter names it.
package retryexhausted

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Type is the extension's name in a configuration file.
var Type = component.MustNewType("sightline_retry_exhausted")

// Config is the extension's configuration, which has no settings.
type Config struct{}

// NewFactory returns the extension's factory.
func NewFactory() extension.Factory {
	return extension.NewFactory(Type, func() component.Config { return &Config{} }, create, component.StabilityLevelStable)
}

func create(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
	return middleware{}, nil
}

type middleware struct {
	component.StartFunc
	component.ShutdownFunc
}

var _ extensionmiddleware.GRPCClient = middleware{}

// GetGRPCClientOptions returns the option that adds RetryInfo to each response of the connection that needs it.
func (middleware) GetGRPCClientOptions(context.Context) ([]grpc.DialOption, error) {
	// A chained interceptor, because an exporter with headers has an interceptor already.
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(intercept)}, nil
}

func intercept(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	return withRetryInfo(invoke(ctx, method, request, reply, connection, options...))
}

// tooLarge is the part that the messages of gRPC for Go have in common if a request exceeds a limit of its size. Such a
// request exceeds the limit again at each retry. The status has no other field that distinguishes this reason.
const tooLarge = "larger than max"

func withRetryInfo(err error) error {
	failure := status.Convert(err)
	if failure.Code() != codes.ResourceExhausted || strings.Contains(failure.Message(), tooLarge) {
		return err
	}
	for _, detail := range failure.Details() {
		if _, ok := detail.(*errdetails.RetryInfo); ok {
			return err
		}
	}
	retryable, failed := failure.WithDetails(&errdetails.RetryInfo{})
	if failed != nil {
		return err
	}
	return retryable.Err()
}
