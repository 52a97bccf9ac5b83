"""What `darkroom doctor` looks at: a module for each service, real requests in each."""
