// Package publiccas compiles Mozilla's list of CAs into the Collector. The image of the Collector contains no CA
// certificates, and a gateway needs them to verify a backend on the public internet. Go uses this list only if the
// machine has no list of its own. To update the list, update the version of the imported module in go.mod.
package publiccas

import _ "golang.org/x/crypto/x509roots/fallback"
