"""What clients talk to: GraphQL, the storage-event endpoint and the `darkroom` command."""
