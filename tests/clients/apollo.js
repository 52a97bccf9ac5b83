// Apollo Client, with its normalised cache, and graphql-ws for subscriptions.
// Arguments: the URL of the API, a picture.
const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = require('@apollo/client');
const { GraphQLWsLink } = require('@apollo/client/link/subscriptions');
const { relayStylePagination } = require('@apollo/client/utilities');
const { getOperationAST } = require('graphql');
const { createClient } = require('graphql-ws');
const WebSocket = require('ws');
const { journey, operations, turnPages } = require('./journey');

const POSSIBLE_TYPES = gql`query PossibleTypes { __schema { types { name possibleTypes { name } } } }`;

/** Which types a union or an interface may be, as the server says. */
async function possibleTypes(link) {
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const { data } = await client.query({ query: POSSIBLE_TYPES });
  return Object.fromEntries(
    data.__schema.types
      .filter((type) => type.possibleTypes)
      .map((type) => [type.name, type.possibleTypes.map(({ name }) => name)]),
  );
}

async function main(url, picture) {
  const requests = [];
  const counted = new ApolloLink((operation, forward) => {
    requests.push(operation.operationName);
    return forward(operation);
  });
  const socket = createClient({
    url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0,
  });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    new GraphQLWsLink(socket),
    counted.concat(new HttpLink({ uri: url })),
  );
  const cache = new InMemoryCache({
    possibleTypes: await possibleTypes(link),
    typePolicies: { Query: { fields: { images: relayStylePagination(['filter', 'orderBy']) } } },
  });
  const client = new ApolloClient({ link, cache });

  const ask = async (name, variables) => {
    const document = operations[name];
    const { data } = await (getOperationAST(document).operation === 'mutation'
      ? client.mutate({ mutation: document, variables })
      : client.query({ query: document, variables, fetchPolicy: 'network-only' }));
    return data;
  };

  // What a page shows is told by its queries: of the subscription's events only the cache hears.
  const shown = (id, isEnough) => new Promise((resolve) => {
    client.watchQuery({ query: operations.ShowImage, variables: { id } }).subscribe(({ data }) => {
      if (data && isEnough(data.node)) resolve(data.node);
    });
  });
  let atRest;
  const follow = async (name, variables, next) => {
    await Promise.all(variables.ids.map((id) => shown(id, () => true)));
    const later = variables.ids.map((id) => shown(id, ({ finishedAt }) => finishedAt));
    await client.subscribe({ query: operations[name], variables }).forEach(({ data, error }) => {
      if (error) throw error;
      next(data);
    });
    atRest = await Promise.all(later);
    requests.push('at rest');
  };
  const told = await journey({ ask, follow }, picture);
  console.log(JSON.stringify({ ...told, shown: atRest, pages: await turnPages({ ask }), requests }));
}

main(...process.argv.slice(2));
