// Package certificates implements sightline_certificates, an extension that reports when certificates expire: in a metric,
// and in the log.
//
// The Collector itself reports an expired certificate only when a connection is renewed, which can be hours later, and
// Jaeger does not report it at all. The extension reads the certificate files of its own process. It also reads the
// certificate that the backend presents, so a gateway reports the certificate of Jaeger.
package certificates
