"""General English of `lwr.prompt`, by role: verbs, negations, strengths, joints; no word of any task."""

from lwr.tasks.base import phrases

# Role -> words and phrases, in the spelling that `lwr.prompt.lexicon` makes first: lower case, "don't" as
# "do not", "it's" as "it is", hyphens as spaces. A longer phrase wins; a task's words win over these.
CUES: dict[str, tuple[str, ...]] = {
    role: phrases(text)
    for role, text in {
        # verbs, by what they do to a defect
        "REMOVE": """remove, get rid of, getting rid of, got rid of, rid, rid of, take away, take out,
            take off, taken out, eliminate, reduce, delete, lose, cut, undo, kill, erase, drop, strip,
            wipe, dissolve, decrease, diminish, minimise, minimize, lessen, less, weaken, filter,
            cut through, see past, lift, blow away, banish, dispel, do away with, tone down, free, fewer,
            suppress, losing, revert, stop it from, stop it being, stop this from, keep it from, prevent,
            prevent it from, extract, penetrate, dial down, turn down, bring down, knock back,
            thin out, thinner""",
        "REPAIR": """fix, correct, repair, restore, improve, enhance, clean, clean up, clear, clear up,
            cure, solve, help, deal with, treat, handle, rescue, save, recover, do something about,
            better, bring back, bring out, bring, sort out, tackle, counter, counteract, compensate,
            work on, touch, touch up, change, alter, modify, mess with, tamper with, process, adjust,
            worry about, care about, mend, heal, polish, optimise, optimize, regain, apply,
            renovate, retouch, refurbish, refresh, clearer, cleaner, way better""",
        "KEEP": """keep, kept, leave, left alone, preserve, retain, maintain, like, love, keen on,
            fond of, a fan of, a big fan of, enjoy, adore, ignore, stay, never mind, appreciate, remain,
            would keep, would leave, cherish, spare, nothing wrong with""",
        "CREATE": """make, add, create, give, generate, simulate, more, increase, boost, raise, higher,
            bump, bump up, crank up, pump up, imitate, introduce, put, produce, insert, convert, export,
            output, render, set the, set its, set it, set this""",
        "WANT": """want, need, can i have, could i have, may i have, i would have, would like, would love,
            would rather, prefer, wish, desire, require, hope for""",
        "BECOME": "get, got, turn, turn out, become, became, let, come out, came out, end up, bring to, made",
        # what is said after a mention
        "GONE": "gone, away, out, disappear, vanish, go, go away, goes, went",
        "STAY": """fine, ok, okay, nice, beautiful, lovely, good, great, perfect, intentional, intended,
            deliberate, on purpose, untouched, alone, as it is, as is, artistic, atmospheric, part of,
            welcome, gorgeous, thicker, denser, heavier, stronger, there for a reason, wanted""",
        "TROUBLE": """bother, bothers, bothering, annoy, annoys, annoying, ruin, ruins, ruined, spoil,
            spoils, problem, issue, matter, matters, distracting, ugly, disturbs, disturbing, hides,
            hiding""",
        "BAD": """bad, poor, terrible, awful, off, wrong, missed, lost, weak, lousy, horrible,
            insufficient, missing, low, failed, too low, not right, not good,
            screwed up, screwed, botched, wonky, hopeless, atrocious, dreadful,
            sucks, suck, sucked, stinks, crap, garbage, rubbish""",
        # negations and goals
        "NOT": """not, no, no more, never, without, none, nothing, neither, avoid, avoiding, skip,
            skipping, forget, forgetting, omit, fail, refrain from, leave out, no need, lack, lacks,
            lacking, unnecessary, zero, stop, hold off, hold off on, lay off, stay away from,
            steer clear of, do not you dare, do not even think of, do not even think about""",
        "CANNOT": """can not, could not, unable to, hard to, difficult to, impossible to, can barely see,
            can hardly see, barely see, hardly see, barely recognise, barely recognize, barely read,
            hardly read, can barely, can hardly, barely visible, hardly visible, barely readable,
            hardly readable, struggle to""",
        "GOAL": """should, must, make sure, ensure, so that, until, shall, has to, have to, needs to,
            need to, supposed to, left, anymore, any more, any longer, be sure, ought to, want to see,
            would like to see, would love to see, wish to see, like to see, need to see, let me see,
            let us see, able to see""",
        "EXCEPT": """except, except for, excluding, apart from, other than, besides, everything but,
            anything but, all but""",
        "INSTEAD": "instead of, rather than",
        "SO": "so it, so he, so she, so they, so i, so the, so my, so everything, so now",
        "NOR": "nor",
        # what holds a sentence together
        "BREAK": """but, however, because, because of, due to, since, although, though, whereas, while,
            besides it, besides that, if, when, unless, then, just, only, and then, yet, next, afterwards,
            and just, and only, after that, so please""",
        "JOIN": "and, or, also, plus, as well as, along with, together with, and also",
        "BE": """is, are, was, were, be, been, has, have, had, contains, shows, looks, look, looked,
            seems, seem, seemed, appears, am, there, see, being, looks like, looks like that, look like,
            like a, something like""",
        # "haze removal"
        "REMOVAL": "removal, reduction, correction, elimination, removing, suppression",
        "QUESTION": """write, describe, tell me, is it, was it, what is, what are, what does, what was,
            where is, where are, how does, how do you define, who is, explain, define, tell me about,
            what causes, what did,
            what a lovely, what a beautiful, what a nice, what a great, is this photo, is this picture,
            is this image, is the photo, is the picture, is the image""",
        "ARTICLE": """the, a, an, any, some, all, this, that, these, those, my, your, his, her, our,
            their, its, too, either, of, both, every, much, entire, whole, so, really, actual, bit,
            all of, most""",
        "PREPOSITION": "in, from, behind, on, under, near, inside, beside, at",
        "PICTURE": """photo, photos, picture, pictures, image, images, pic, pics, shot, shots, snapshot,
            painting, portrait, drawing, scan, selfie, photograph, photographs""",
        "CAPTION": """photo of, picture of, image of, pic of, shot of, painting of, portrait of,
            drawing of, photograph of, scan of, images of, photos of, pictures of""",
        "FUNCTION": """please, can, could, you, would, will, i, it, to, me, we, they, he, she, do, does,
            did, kindly, hi, not only, not just, do not you, is it possible, is it still possible,
            is there a way, is there any way, do not just, up, for, by, with, everything, everywhere,
            for me, us, them, pls, thanks, thank you, may, might, nothing but, now, again, left side,
            left half, left corner, on the left, left hand, leaves, left eye, strength, intensity,
            top half, bottom half, upper half, lower half, right half, other half, half of the photo,
            half of the picture, half of the image, half the photo, half the picture, half the image,
            taken, photographed, captured, snapped, filmed, as hell, as heck, as fuck, af, asf, omg, lol, tbh,
            imo, ugh, plz, thx, here, outside, outdoors, indoors, tonight, overall, already,
            the rest, everything else, that way, this way, the way it is, how it is, the way they are,
            the mood, that mood, the atmosphere, that atmosphere""",
    }.items()
}
INFLECTED = frozenset({"REMOVE", "REPAIR", "KEEP", "CREATE", "WANT"})  # roles whose words are verbs
CORRECTED = frozenset({"REMOVE", "REPAIR", "KEEP", "CREATE", "NOT", "STRENGTH"})  # whose typos are corrected

STRENGTHS: dict[float, tuple[str, ...]] = {
    0.25: phrases(
        """very slightly, very slight, very light, very mild, very gentle, ever so slightly, very lightly,
        very gently, barely, just barely, hardly,
        a tiny bit, tiny bit, very little, minimally, by a quarter,
        the slightest bit, just the slightest bit"""
    ),
    0.5: phrases(
        """slightly, slight, a bit, a bit of, bit too, a little, a little of, a little bit, a little bit of,
        little bit, a tiny little bit, just a little, a touch, a tad, a tad bit, a lil bit, lil bit, a lil,
        a wee bit, wee bit, a smidgen, a light, light touch, a small amount, a hint, a smidge, lightly,
        gently, gentle, subtly, subtle, mildly, mild, carefully, not too much, not too strongly,
        not too hard, not so much, not much, half, halfway, partly, partially, a notch, go easy on, easy on,
        do not overdo, do not overdo it, without overdoing it, do not go overboard"""
    ),
    0.75: phrases(
        """moderately, moderate, somewhat, not completely, not fully, not entirely, not all of it, mostly,
        most of the, a fair bit, considerably, nearly all, nearly all of, almost all, almost all of"""
    ),
    1.0: phrases(
        """completely, strongly, strong, very, fully, totally, heavily, heavy, extremely, extreme, a lot,
        entirely, aggressively, really, thoroughly, as much as possible, maximum, quite, super, all the way"""
    ),
}

# Word, or the beginning of it -> number
NUMBERS: dict[str, float] = {"twice": 2.0, "thrice": 3.0, "doubl": 2.0, "tripl": 3.0, "quadrupl": 4.0} | {
    word: float(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}

# Common words that lie within a typo of a word above or of a task's and must not be corrected into it.
_COMMON = """
    abort apple apples arise arising bands beach below bench bikes black blues bluish blunt blurb blurbs
    blurt blush boots bride bright brighter brightest brown bumpy cards care caret cased cases casing chair
    chance chances charge charged cheating child children chill chilled cited class cleaner cleat cloud clouds
    cloudy color colorise colorize colors colour colours contrast cooler cores couch could counted couple
    crazy crisps crop cropped crowd crowded curses dark darker deals dealt definitions delaying denoise
    denoising derail derain detached detains digger distance distant distinct dress drone drops dusty dying
    entirety evil expend extended faced faces facet fails fancy field fields filed files filler filming
    fired firing flight flower foamy focal focussed forgo forgot form fort forty foster frame fred freeing
    froggy frost froze funny gaze gazed glass gloves going gotten grass great green grey gross ground group
    grouping growl hadn hair handed handing handler handlers hands handy haste hasty hats hazard hazel
    hazelnut heading heads heard heart helper hints horse house individually intro inverted lager lakes
    large later lazy leaked lesser letting lighting lightning lights limes lines linked linking listed
    listing lists lives living local locks locus loops loose lots loved lover lower magnet magnetic maker
    making marked masked messy minded mints minty misses misted mister modes modifier moist morning mourning
    mouse mover moves movie musty newer noise noisy noting older paint painted party past paste pastor peace
    peach people person personal persons piece pixie place plane plant planter plate point pointing pollute
    portrait poser possibly posted power price pride pries prince printer producer proto purple quiet quote
    razed reachable realized reliable replace reside resides resolved resort retail retouch reusable
    revealed roster rotate rower rusty sailing saturation savings saying scaled scales scanning scare scarf
    sealed seeds seeing shade shadow shadows shall shame shape shaped shaper shapes share shares sharing
    shark sharks shelf shell shirt shoes shore short shortened sides sight singe singly sites skier skies
    skill skin slave smack smart smell smile smock smoker snake snakes sofa soften softer soiled speaking
    speed spoke spring sprint stability stacking stage stages stake stale stall stars starters stated states
    stating stats stays steam stomp stops straighten strange stray stream streams string supers supper
    talking tasty tazed there thing things think thorough threat three title token tokens torch tough tower
    track train trash trees trick trip tuned tuning twisted underlined unfolded views vile vocal walls
    warmer water were whale while whine white whole window winds wine wings wired wording worker works world
    write shrank shrunk
"""
COMMON = frozenset(_COMMON.split())
