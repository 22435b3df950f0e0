// Verifies certificates as every Go program of a cluster does. Arguments: the time in Unix seconds, then groups of four:
// CA file, certificate file, "server" or "client", and the host name to check ("-" for none).
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"time"
)

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
}

func read(path string) *x509.Certificate {
	content, err := os.ReadFile(path)
	check(path, err)
	block, _ := pem.Decode(content)
	if block == nil {
		check(path, fmt.Errorf("no PEM block"))
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	check(path, err)
	return certificate
}

func check(path string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		os.Exit(1)
	}
}

func main() {
	seconds, err := strconv.ParseInt(os.Args[1], 10, 64)
	check("time", err)
	for args := os.Args[2:]; len(args) > 0; args = args[4:] {
		roots := x509.NewCertPool()
		roots.AddCert(read(args[0]))
		options := x509.VerifyOptions{
			Roots:       roots,
			CurrentTime: time.Unix(seconds, 0),
			KeyUsages:   []x509.ExtKeyUsage{usages[args[2]]},
		}
		if args[3] != "-" {
			options.DNSName = args[3]
		}
		_, err := read(args[1]).Verify(options)
		check(args[1], err)
	}
}
