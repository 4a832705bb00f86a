#!/bin/sh
# Publishes a model, installs it, updates one small file of it, goes back, and tidies up: the walk-through of README.md.
# `make demo` runs it with examples/shell.py, beside a store of its own.
exec 2>&1
PS4='
$ '
set -ex

# The publisher: twelve files, one of them large.
cdn-manager publish models model v1

# The edge machine: they appear together, as edge/v1, which edge/current then leads to.
cdn-manager install models v1 --into edge

# A version in which one small file is another. Only that is sent, and only that is fetched.
echo '{"max_seq_length": 512, "do_lower_case": false}' > model/sentence_bert_config.json
cdn-manager publish models model v2
cdn-manager install models v2 --into edge
cat edge/current/sentence_bert_config.json

# Back to the version before, at once and without the store.
cdn-manager rollback edge
cat edge/current/sentence_bert_config.json

# Forward again: v2 is here already. What is here is still what was published; what is not needed any more can go.
cdn-manager install models v2 --into edge
cdn-manager verify edge/current
cdn-manager prune edge --keep 1
cdn-manager releases models
