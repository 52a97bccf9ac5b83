// What the page asks the API.

const IMAGE = `
  fragment Shown on Image {
    id status version filename byteSize width height createdAt
    placeholder { thumbhash dominantColor }
    variants { name format width height byteSize url }
    problem { code message retryable }
  }
`;

const RESULT = '... on Image { ...Shown } ... on Problem { code message }';

export const CREATE_UPLOADS = `
  mutation CreateUploads($input: CreateUploadsInput!) {
    createUploads(input: $input) {
      results {
        ... on UploadTarget { image { ...Shown } method url headers { name value } }
        ... on InvalidFile { code message retryAfter }
      }
    }
  }
  ${IMAGE}
`;

export const COMPLETE_UPLOAD = `
  mutation CompleteUpload($id: ID!) { completeUpload(id: $id) { ${RESULT} } }
  ${IMAGE}
`;

export const REPROCESS_IMAGE = `
  mutation ReprocessImage($id: ID!) { reprocessImage(id: $id) { ${RESULT} } }
  ${IMAGE}
`;

export const DELETE_IMAGES = `
  mutation DeleteImages($ids: [ID!]!) {
    deleteImages(ids: $ids) { results { ... on Image { id status } ... on Problem { code message } } }
  }
`;

export const LIST_IMAGES = `
  query ListImages($first: Int!, $after: String) {
    images(
      first: $first
      after: $after
      filter: { status: [PENDING, UPLOADED, PROCESSING, READY, REJECTED, FAILED] }
    ) {
      nodes { ...Shown }
      pageInfo { hasNextPage endCursor }
    }
  }
  ${IMAGE}
`;

export const SHOW_IMAGE = `
  query ShowImage($id: ID!) {
    image(id: $id) {
      ...Shown
      format frameCount attempts
      camera { make model lens takenAt }
      notes { message }
      original { byteSize url }
      timeline { status at }
    }
  }
  ${IMAGE}
`;

export const FEED = `
  subscription Feed($after: String) { feed(after: $after) { cursor image { ...Shown } } }
  ${IMAGE}
`;
