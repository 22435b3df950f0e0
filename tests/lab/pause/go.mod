module bootkube.dev/lab/pause

go 1.26.0
