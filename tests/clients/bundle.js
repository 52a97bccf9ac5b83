// What a browser runs of a module and all that it imports, in one file, as any bundler makes it.
// Arguments: the module, the file to write.
const { buildSync } = require('esbuild');

const [entry, outfile] = process.argv.slice(2);
const nodePaths = [process.env.NODE_PATH];
buildSync({ entryPoints: [entry], outfile, nodePaths, bundle: true, jsx: 'automatic', logLevel: 'warning' });
