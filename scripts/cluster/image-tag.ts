/** Tag of the image that `npm run cluster` builds and installs. Clones that share a cluster name one each, with CLUSTER_IMAGE_TAG. */
export const IMAGE_TAG = process.env['CLUSTER_IMAGE_TAG'] || 'dev';
