// Relay, with its normalised store, and graphql-ws for subscriptions.
// Arguments: the URL of the API, a picture, the folder where Relay's compiler put the documents below.
const { createClient } = require('graphql-ws');
const { join } = require('node:path');
const {
  Environment, Network, Observable, RecordSource, Store,
  commitMutation, createOperationDescriptor, fetchQuery, getRefetchMetadata, getRequest, getSingularSelector,
  requestSubscription,
} = require('relay-runtime');
const WebSocket = require('ws');
const { journey } = require('./journey');

const [url, picture, compiled] = process.argv.slice(2);

/** What Relay's plugin for Babel does: the compiled document takes the place of its text. */
const graphql = ([text]) => require(join(compiled, `${/^\s*\w+ (\w+)/.exec(text)[1]}.graphql`));

graphql`
  fragment relay_explained on Problem {
    code
    message
  }
`;

const IMAGE = graphql`
  fragment relay_image on Image @refetchable(queryName: "relayImageQuery") {
    id
    status
    filename
    metadata
    variants {
      name
      width
      url
    }
    problem {
      ...relay_explained @relay(mask: false)
      retryable
    }
  }
`;

const GALLERY = graphql`
  fragment relay_gallery on Query
  @refetchable(queryName: "relayPageQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 1 }, cursor: { type: "String" }) {
    images(first: $count, after: $cursor, orderBy: OLDEST_FIRST) @connection(key: "relay_images") {
      __id
      edges {
        node {
          filename
        }
      }
      pageInfo {
        endCursor
        hasNextPage
      }
    }
  }
`;

const GALLERY_QUERY = graphql`
  query relayGalleryQuery {
    ...relay_gallery
  }
`;

const CREATE = graphql`
  mutation relayCreateMutation($input: CreateUploadsInput!, $connections: [ID!]!) {
    createUploads(input: $input) {
      results {
        __typename
        ... on UploadTarget {
          method
          url
          headers {
            name
            value
          }
          image @appendNode(connections: $connections, edgeTypeName: "ImageEdge") {
            id
            ...relay_image
          }
        }
        ... on InvalidFile {
          filename
          code
        }
      }
    }
  }
`;

const DELETE = graphql`
  mutation relayDeleteMutation($ids: [ID!]!, $connections: [ID!]!) {
    deleteImages(ids: $ids) {
      results {
        ... on Image {
          id @deleteEdge(connections: $connections)
        }
        ... on Problem {
          code
        }
      }
    }
  }
`;

const FOLLOW = graphql`
  subscription relayFollowSubscription($ids: [ID!]!) {
    imageUpdates(ids: $ids) {
      id
      status
      version
      ...relay_image
    }
  }
`;

const requests = [];
const socket = createClient({
  url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0,
});
const network = Network.create(
  async ({ name, text: query }, variables) => {
    requests.push(name);
    const headers = { 'Content-Type': 'application/json' };
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })).json();
  },
  ({ text: query }, variables) => Observable.create((sink) => socket.subscribe({ query, variables }, sink)),
);
const emptyEnvironment = () => new Environment({ network, store: new Store(new RecordSource()) });

/** What a query gives, as for a page that goes on to show it: the store does not let go of it. */
function load(environment, query, variables = {}) {
  environment.retain(createOperationDescriptor(getRequest(query), variables));
  return fetchQuery(environment, query, variables).toPromise();
}

/** What is in the store of a fragment; it makes no request. */
const look = (environment, fragment, reference) =>
  environment.lookup(getSingularSelector(fragment, reference)).data;

const filenames = ({ edges }) => edges.map(({ node }) => node.filename);

/** The files in the list after each page of one image. */
async function turnPages() {
  const environment = emptyEnvironment();
  const { refetchableRequest } = getRefetchMetadata(GALLERY, 'turnPages');
  const first = await load(environment, GALLERY_QUERY);
  const pages = [];
  let images;
  do {
    const cursor = images?.pageInfo.endCursor;
    if (cursor) await load(environment, refetchableRequest, { count: 1, cursor });
    ({ images } = look(environment, GALLERY, first));
    pages.push(filenames(images));
  } while (images.pageInfo.hasNextPage);
  return pages;
}

async function main() {
  const environment = emptyEnvironment();
  const gallery = await load(environment, GALLERY_QUERY);
  const list = () => look(environment, GALLERY, gallery).images;
  const connections = [list().__id];
  const commit = (mutation, variables) => new Promise((onCompleted, onError) => {
    commitMutation(environment, {
      mutation, variables: { ...variables, connections }, onCompleted, onError,
    });
  });

  const { refetchableRequest } = getRefetchMetadata(IMAGE, 'main');
  const show = async (id) => (await load(environment, refetchableRequest, { id })).node;
  const ask = {
    CreateUploads: (variables) => commit(CREATE, variables),
    ShowImage: async ({ id }) => ({ node: look(environment, IMAGE, await show(id)) }),
  };
  let shown;
  const follow = async (name, variables, onNext) => {
    const references = await Promise.all(variables.ids.map(show));
    await new Promise((onCompleted, onError) => {
      requestSubscription(environment, { subscription: FOLLOW, variables, onNext, onCompleted, onError });
    });
    shown = references.map((reference) => look(environment, IMAGE, reference));
    requests.push('at rest');
  };

  const lists = [filenames(list())];
  const told = await journey({ ask: (name, variables) => ask[name](variables), follow }, picture);
  lists.push(filenames(list()));
  const pages = await turnPages();
  await commit(DELETE, { ids: [told.images[1].id] });
  lists.push(filenames(list()));
  console.log(JSON.stringify({ ...told, shown, pages, lists, requests }));
}

main();
