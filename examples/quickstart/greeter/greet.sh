#!/bin/sh
echo "$GREETING from $(busybox uname -m)"
