// Every audit of a GraphQL server over HTTP at the URL given; prints a line of JSON for each.
const { auditServer } = require('graphql-http');

auditServer({ url: process.argv[2] }).then((results) => {
  for (const { id, name, status, reason } of results) console.log(JSON.stringify({ id, name, status, reason }));
});
