// Saves snapshots of etcd, and restores a data folder from one, with etcd's own code: what `etcdctl snapshot save` and `etcdutl snapshot
// restore` do.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

const usage = `usage: etcd-snapshot save FILE ENDPOINT CA CERTIFICATE KEY
       etcd-snapshot restore FILE DATA-FOLDER NAME PEER-URL`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	manager := snapshot.NewV3(zap.NewNop())
	switch {
	case len(args) == 6 && args[0] == "save":
		files := transport.TLSInfo{TrustedCAFile: args[3], CertFile: args[4], KeyFile: args[5]}
		tls, err := files.ClientConfig()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		config := clientv3.Config{Endpoints: []string{args[2]}, TLS: tls, DialTimeout: 5 * time.Second}
		_, err = manager.Save(ctx, config, args[1])
		return err
	case len(args) == 5 && args[0] == "restore":
		return manager.Restore(snapshot.RestoreConfig{
			SnapshotPath:        args[1],
			OutputDataDir:       args[2],
			Name:                args[3],
			PeerURLs:            []string{args[4]},
			InitialCluster:      args[3] + "=" + args[4],
			InitialClusterToken: "etcd-cluster",
		})
	}
	return fmt.Errorf("%s", usage)
}
