// Types of the schema and of operations.graphql, by graphql-codegen.
// Arguments: the schema, a folder to write to.
const { codegen } = require('@graphql-codegen/core');
const typescript = require('@graphql-codegen/typescript');
const typescriptOperations = require('@graphql-codegen/typescript-operations');
const { parse } = require('graphql');
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const OPERATIONS = join(__dirname, 'operations.graphql');
const SCALARS = { DateTime: 'string', ID: 'string', JSON: 'unknown', URL: 'string' };

async function main(schema, folder) {
  // The second writes down the inputs and enums that it needs itself: in one file they would be there twice.
  for (const [name, plugin] of Object.entries({ schema: typescript, operations: typescriptOperations })) {
    const filename = join(folder, `${name}.ts`);
    const generated = await codegen({
      filename,
      schema: parse(readFileSync(schema, 'utf8')),
      documents: [{ location: OPERATIONS, document: parse(readFileSync(OPERATIONS, 'utf8')) }],
      config: { strictScalars: true, scalars: SCALARS },
      plugins: [{ [name]: {} }],
      pluginMap: { [name]: plugin },
    });
    writeFileSync(filename, generated);
  }
}

main(...process.argv.slice(2));
