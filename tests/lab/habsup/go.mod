module bootkube.dev/lab/habsup

go 1.26.0
