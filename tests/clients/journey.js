// What every client does: ask for targets, follow the images, send the files, read back, turn pages.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { parse, separateOperations } = require('graphql');

/** The documents of operations.graphql by name, each with the fragments it spreads. */
const operations = separateOperations(parse(readFileSync(join(__dirname, 'operations.graphql'), 'utf8')));

/** Send the bytes where a target says, as it says. */
async function put({ method, url, headers }, body) {
  const answer = await fetch(url, {
    method,
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    body,
  });
  if (!answer.ok) throw new Error(`The store answered ${answer.status}: ${await answer.text()}`);
}

/**
 * Take the picture at `path`, a file that is none and one that is not taken all the way.
 *
 * `ask(name, variables)` gives the data of a query or mutation; `follow(name, variables, next)` calls `next`
 * with the data of each event, and is fulfilled when the subscription completes.
 */
async function journey({ ask, follow }, path) {
  const picture = readFileSync(path);
  const broken = picture.subarray(0, 64);
  const asked = (filename, { byteLength: byteSize }, contentType) => ({
    filename, contentType, byteSize, metadata: { album: [filename] },
  });
  const { createUploads } = await ask('CreateUploads', {
    input: {
      files: [
        asked('photo.jpg', picture, 'image/jpeg'),
        asked('broken.jpg', broken, 'image/jpeg'),
        asked('notes.txt', broken, 'text/plain'),
      ],
    },
  });
  const [good, bad, refused] = createUploads.results;
  const ids = [good.image.id, bad.image.id];
  const seen = Object.fromEntries(ids.map((id) => [id, []]));
  let sent;
  await follow('FollowImages', { ids }, ({ imageUpdates: image }) => {
    if (image.version > (seen[image.id].at(-1)?.version ?? 0)) seen[image.id].push(image);
    // The current state comes first: from then on nothing can be missed.
    if (ids.every((id) => seen[id].length)) sent ??= Promise.all([put(good, picture), put(bad, broken)]);
  });
  await sent;
  return {
    results: createUploads.results.map(({ __typename }) => __typename),
    refused: { filename: refused.filename, code: refused.code },
    statuses: ids.map((id) => seen[id].map(({ status }) => status)),
    images: await Promise.all(ids.map(async (id) => (await ask('ShowImage', { id })).node)),
  };
}

/** The names of all files, as pages of one image each tell them. */
async function turnPages({ ask }) {
  const pages = [];
  let after = null;
  do {
    const { images } = await ask('ListImages', { first: 1, after });
    pages.push(images.edges.map(({ node }) => node.filename));
    after = images.pageInfo.hasNextPage ? images.pageInfo.endCursor : null;
  } while (after);
  return pages;
}

module.exports = { operations, journey, turnPages };
