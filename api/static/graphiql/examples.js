// The tabs that GraphiQL opens with. It shows no variables of the first one: they stand in the text.
const create = `# Ask where to send a file.
# \`curl\` sends it, run where the file lies.
mutation CreateUpload {
  createUploads(
    input: {
      files: [
        {
          filename: "photo.jpg"
          contentType: "image/jpeg"
          byteSize: 123456
        }
      ]
    }
  ) {
    results {
      ... on UploadTarget {
        image { id status }
        curl
        method
        url
        headers { name value }
        expiresAt
      }
      ... on InvalidFile { code message }
    }
  }
}
`;

const follow = `# Start this, then upload something:
# every change of your images is pushed.
# feed(after: "…") goes on behind a cursor,
# imageUpdates(ids: ["…"]) follows a few to their end.
subscription Follow {
  feed {
    cursor
    image {
      id
      filename
      status
      placeholder { thumbhash dominantColor }
      variants { name width height url }
      problem { code message }
    }
  }
}
`;

const list = `# Your images, the latest first.
# images(after: "…") goes on behind endCursor.
query ListImages {
  images(first: 10) {
    nodes {
      id
      filename
      status
      width
      height
      variants { name format width height byteSize url }
      timeline { status at }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`;

export const EXAMPLES = [{ query: create }, { query: follow }, { query: list }];
