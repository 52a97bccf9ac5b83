// What a front end does with the generated types: compiled under --strict, never run.
import type {
  CreateUploadsMutation,
  CreateUploadsMutationVariables,
  FollowImagesSubscription,
  ImageStatus,
  ListImagesQuery,
  ListImagesQueryVariables,
  ReprocessImageMutation,
  ShowImageQuery,
} from './operations';
import type { CreateUploadResult, ImageResult, Scalars } from './schema';

export const variables: CreateUploadsMutationVariables = {
  input: {
    files: [{ filename: 'photo.jpg', contentType: 'image/jpeg', byteSize: 3, metadata: { album: ['one'] } }],
    preset: undefined,
    idempotencyKey: null,
  },
};
// @ts-expect-error: a length is needed
variables.input.files.push({ filename: 'photo.jpg', contentType: 'image/jpeg' });

export const recent: ListImagesQueryVariables = {
  first: 20,
  filter: { status: ['READY'], createdAfter: new Date(0).toISOString(), metadata: { key: 'album' } },
};
// @ts-expect-error: there is no such status
recent.filter = { status: ['DONE'] };

/** Nothing is left of a value whose cases have all been seen. */
function none(left: never): never {
  throw new Error(`Not in the schema: ${JSON.stringify(left)}`);
}

export function targets({ createUploads }: CreateUploadsMutation): [URL, Headers, Date][] {
  return createUploads.results.flatMap((result) => {
    // @ts-expect-error: a file that is not taken has no URL
    result.url;
    switch (result.__typename) {
      case 'UploadTarget':
        return [[
          new URL(result.url),
          new Headers(result.headers.map(({ name, value }): [string, string] => [name, value])),
          new Date(result.expiresAt),
        ]];
      case 'InvalidFile':
        console.warn(`${result.filename}: ${result.message} (${result.code})`);
        return [];
      default:
        return none(result);
    }
  });
}

export function reprocessed({ reprocessImage: result }: ReprocessImageMutation): string {
  switch (result.__typename) {
    case 'Image': return result.filename;
    case 'ImageNotFound':
    case 'ImageConflict': return `${result.id}: ${result.message}`;
    default: return none(result);
  }
}

export function atRest(status: ImageStatus): boolean {
  switch (status) {
    case 'PENDING': case 'UPLOADED': case 'PROCESSING': return false;
    case 'READY': case 'REJECTED': case 'FAILED': case 'EXPIRED': case 'DELETED': return true;
    default: return none(status);
  }
}

export function srcset({ imageUpdates: { variants } }: FollowImagesSubscription): string {
  return variants.map(({ url, width }) => `${url} ${width}w`).join(', ');
}

export function album({ node }: ShowImageQuery): unknown {
  // @ts-expect-error: it may be that nobody has it
  node.status;
  // @ts-expect-error: what a client kept is of no type that is known here
  node?.metadata?.album;
  return node?.metadata;
}

export function cursor({ images: { pageInfo } }: ListImagesQuery): string | null {
  return pageInfo.hasNextPage ? pageInfo.endCursor : null;
}

/** Whoever asks for whole types needs to know all that a union may be. */
type Name = NonNullable<(CreateUploadResult | ImageResult)['__typename']>;
export const names: Record<Name, Scalars['ID']['output']> = {
  UploadTarget: 'target',
  InvalidFile: 'invalid',
  Image: 'image',
  ImageNotFound: 'not found',
  ImageConflict: 'conflict',
};
