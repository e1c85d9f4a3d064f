package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// dialTimeout limits the connection to the backend and its handshake.
const dialTimeout = 5 * time.Second

// validity is the time for which a certificate is valid.
type validity struct{ from, until time.Time }

// readOwn returns the validity of a chain, which ends when the first of its certificates expires.
func readOwn(path string) (validity, error) {
	chain, err := readFile(path)
	if err != nil {
		return validity{}, err
	}
	return first(chain), nil
}

// readCA returns the validity of a bundle of CAs, which ends when the last of them expires: while a CA is replaced, the
// bundle contains the old CA, too.
func readCA(path string) (validity, error) {
	bundle, err := readFile(path)
	if err != nil {
		return validity{}, err
	}
	last := validity{}
	for _, certificate := range bundle {
		if certificate.NotAfter.After(last.until) {
			last = validity{certificate.NotBefore, certificate.NotAfter}
		}
	}
	return last, nil
}

// readServer returns the validity of the chain that a TLS server presents.
//
// The certificate is not verified, because the extension has to read one that has expired, too. The connection carries no
// data, and the exporters verify the certificate.
func readServer(ctx context.Context, address, certificate, key string) (validity, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if own, err := tls.LoadX509KeyPair(certificate, key); err == nil {
		config.Certificates = []tls.Certificate{own}
	}
	dialer := &tls.Dialer{Config: config}
	connection, err := dialer.DialContext(ctx, "tcp", hostPort(address))
	if err != nil {
		return validity{}, err
	}
	defer connection.Close()
	return first(connection.(*tls.Conn).ConnectionState().PeerCertificates), nil
}

// hostPort returns the host and the port of the endpoint of an exporter over gRPC.
func hostPort(endpoint string) string {
	for _, prefix := range []string{"https://", "dns:///", "passthrough:///"} {
		endpoint = strings.TrimPrefix(endpoint, prefix)
	}
	endpoint = strings.TrimSuffix(endpoint, "/")
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		return net.JoinHostPort(strings.Trim(endpoint, "[]"), "443")
	}
	return endpoint
}

// first returns the validity of the certificate that expires first.
func first(chain []*x509.Certificate) validity {
	earliest := validity{}
	for _, certificate := range chain {
		if earliest.until.IsZero() || certificate.NotAfter.Before(earliest.until) {
			earliest = validity{certificate.NotBefore, certificate.NotAfter}
		}
	}
	return earliest
}

func readFile(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certificates = append(certificates, certificate)
	}
	if certificates == nil {
		return nil, fmt.Errorf("%s contains no certificate in PEM", path)
	}
	return certificates, nil
}
