package publiccas

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"
)

// inChild marks the second run of the test.
const inChild = "PUBLICCAS_CHILD"

// Without the list of a machine, as in an image that contains only the program, Go verifies certificates with the list
// of this package. The test runs itself again, because Go reads the list of a machine only once.
func TestListReplacesMissingList(t *testing.T) {
	if os.Getenv(inChild) == "" {
		again := exec.Command(os.Args[0], "-test.run=^TestListReplacesMissingList$")
		again.Env = []string{inChild + "=1", "SSL_CERT_DIR=" + t.TempDir(), "SSL_CERT_FILE=/dev/null"}
		if output, err := again.CombinedOutput(); err != nil {
			t.Fatalf("without the CAs of the machine: %v\n%s", err, output)
		}
		return
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	if pool.Equal(x509.NewCertPool()) {
		t.Fatal("the list of CAs is empty")
	}
}
