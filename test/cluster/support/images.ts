import { previousImage } from '../../../scripts/cluster/build-images.ts';
import { IMAGE_TAG } from '../../../scripts/cluster/image-tag.ts';
import { previousReleaseSource } from '../../../scripts/cluster/previous-release.ts';

/** As `npm run cluster` builds them of this clone. */
export const CURRENT = { artifact: 'largesse', repository: 'largesse', tag: IMAGE_TAG };
/** The same as another image: the release that an upgrade brings. */
export const NEXT = { ...CURRENT, tag: `${IMAGE_TAG}-next` };

const previous = previousReleaseSource();
/** `name:tag` of the release before this one; null where the clone has no history. */
export const PREVIOUS = previous && previousImage(previous.revision);
