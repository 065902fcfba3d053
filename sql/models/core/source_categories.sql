-- One row per known source of visits: a name as it stands in utm_source, or the host of a referrer.
-- key: source
-- not null: category, name
-- column source: a bare name (google) stands for itself and for the host of that name in every country
--   (google.fr); a host (news.google.com) stands for itself and for the hosts below it
-- column category: search, social, video, shopping or email
-- column name: what the source is called when a referrer names it
with lists (category, sources) as (
    values
    ('search', '
        360.cn alice aol ask auone avg babylon baidu biglobe bing brave centrum.cz cn.bing.com cnn comcast
        conduit daum dogpile duckduckgo ecosia email.seznam.cz eniro exalead.com excite.com firmy.cz globo
        go.mail.ru google google-play incredimail kagi kvasir lens.google.com lilo.org lite.qwant.com lycos
        m.baidu.com m.naver.com m.search.naver.com m.sogou.com mail.rambler.ru mail.yandex.ru metager mojeek
        msn najdi naver news.google.com ntp.msn.com onet petalsearch play.google.com presearch qwant rakuten
        rambler search-results search.aol.co.uk search.brave.com html.duckduckgo.com search.aol.com search.google.com search.rakuten.co.jp
        search.smt.docomo.ne.jp search.ukr.net search.yahoo.com secureurl.ukr.net seznam so.com sogou
        sp-web.search.auone.jp startpage startsiden suche.aol.de swisscows terra tut.by ukr virgilio
        wap.sogou.com webmaster.yandex.ru websearch.rakuten.co.jp yahoo yandex zen.yandex.ru'),
    ('social', '
        43things 51.com 5ch.net academia.edu activerain activeworlds addthis airg.ca allnurses.com
        allrecipes.com alumniclass ameba.jp ameblo.jp americantowns ancestry.com anobii answerbag
        answers.yahoo.com aolanswers artstation.com askubuntu asmallworld.com athlinks awe.sm baby-gaga
        babyblog.ru badoo bebo beforeitsnews bharatstudent biip.no biswap.org bit.ly blackcareernetwork.com
        blackplanet blip.fm blog.com blog.goo.ne.jp blog.naver.com blog.yahoo.co.jp blogg.no bloggang.com
        blogger blogher bloglines blogs.com blogsome blogspot blogster bluesky blurtit bookmarks.yahoo.co.jp
        bookmarks.yahoo.com brightkite brizzly bsky.app buzzfeed buzznet cafe.naver.com cafemom camospace
        canalblog.com care.com care2 caringbridge.org catster cbnt.io cellufun centerblog.net chegg.com
        chicagonow chiebukuro.yahoo.co.jp classmates classquest cocolog-nifty copainsdavant.linternaute.com
        couchsurfing.org cozycot cross.tv crunchyroll cyworld dailystrength.org deluxe.com deviantart
        dianping digg diigo discord disqus dogster dol2day doostang dopplr douban draugiem.lv drugs-forum
        dzone edublogs.org elftown epicurious.com everforo.com exblog.jp extole facebook faceparty
        fandom.com fanpop fark fb fc2 feedspot feministing filmaffinity flickr flipboard folkdirect
        foodservice forums.androidcentral.com forums.crackberry.com forums.imore.com forums.webosnation.com
        forums.wpcentral.com fotki fotolog foursquare friendfeed fruehstueckstreff.org fubar gaiaonline
        gamerdna gather.com geni.com getpocket.com glassboard glassdoor godtube goldenline.pl goldstar
        goo.gl gooblog goodreads google+ googlegroups.com googleplus govloop gowalla gree.jp
        groups.google.com gulli.com gutefrage.net habbo hatena hi5 hootsuite houzz hoverspot hr.com
        hubculture hubpages.com hyves.net hyves.nl ibibo identi.ca ig imageshack imvu insanejournal
        instagram instapaper internations.org interpals.net intherooms irc-galleria.net is.gd italki
        jammerdirect jappy.com jappy.de kaboodle.com kakao kakaocorp.com kaneva kin.naver.com last.fm
        lemmy.world librarything lifestream.aol.com line linkedin listal listography livedoor.com
        livedoorblog livejournal lnkd.in mastodon mbga.jp medium.com meetin.org meetup meinvz.net
        meneame.net menuism.com messages.google.com messages.yahoo.co.jp messenger meta mix.com mixi.jp
        mocospace mouthshut movabletype mubi my.opera.com myanimelist.net myheritage mylife mymodernmet
        myspace netvibes news.ycombinator.com newsshowcase nexopia ngopost.org niconico nicovideo.jp
        nightlifelink ning odnoklassniki.ru odnoklassniki.ua okwave.jp oneworldgroup.org onstartups
        opendiary oshiete.goo.ne.jp over-blog.com overblog.com paper.li partyflock.nl photobucket pinboard
        pingsta pinterest pixiv.net playahead.se plurk plus.google.com plus.url.google.com pocket.co
        posterous pro.homeadvisor.com pulse.yahoo.com qapacity quechup quora qzone.qq.com ravelry reddit
        redux renren researchgate.net reunion reverbnation rtl.de ryze salespider scoop.it screenrant scribd
        scvngr secondlife serverfault shareit sharethis shvoong.com sites.google.com skype skyrock
        slashdot.org slideshare.net smartnews.com snapchat social sociallife.com.br socialvibe
        spaces.live.com spoke spruz ssense.com stackapps stackexchange stackoverflow stardoll.com stickam
        studivz.net suomi24.fi superuser sweeva t.co t.me tagged taggedmail talkbiznow taringa.net techmeme
        telegram tencent threads tiktok tinyurl toolbox travellerspoint tripadvisor trombi trustpilot tudou
        tuenti tumblr tweetdeck twitter twoo.com typepad unblog.fr urbanspoon.com ushareit.com ushi.cn
        vampirefreaks vampirerave vg.no video.ibm.com vk.com vkontakte.ru wakoopa wattpad webshots wechat
        weebly weibo wer-weiss-was.de weread whatsapp wiki.answers.com wikihow.com wikitravel.org woot.com
        wordpress xanga xiaohongshu xing yahoo-mbga.jp yammer yelp youroom.in zalo zoo.gr zooppa'),
    ('video', '
        bilibili crackle curiositystream d.tube dailymotion disneyplus hulu iq.com iqiyi justin.tv netflix
        odysee peertube rumble ted twitch utreon veoh viadeo.journaldunet.com vimeo wistia youku youtube'),
    ('shopping', '
        aax-us-east.amazon-adsystem.com aax.amazon-adsystem.com alibaba aliexpress amazon ebay etsy idealo
        igshopping mercadolibre nl.shopping.net no.shopping.net s3.amazonaws.com se.shopping.net shop.app
        shopify shopping.naver.com shopping.yahoo.co.jp shopping.yahoo.com shopzilla simplycodes.com stripe
        temu uk.shopping.net walmart')
),
aliases (source, category, name) as (
    values
    ('google shopping', 'shopping', 'google shopping'),
    ('fb.me', 'social', 'facebook'),
    ('fb.com', 'social', 'facebook'),
    ('x.com', 'social', 'twitter'),
    ('youtu.be', 'video', 'youtube'),
    -- Apps give their package's name as the host of the referrer.
    ('com.google.android.googlequicksearchbox', 'search', 'google'),
    ('com.google.android.youtube', 'video', 'youtube'),
    ('com.facebook.katana', 'social', 'facebook'),
    ('com.instagram.android', 'social', 'instagram'),
    ('com.linkedin.android', 'social', 'linkedin'),
    ('com.pinterest', 'social', 'pinterest'),
    ('com.twitter.android', 'social', 'twitter'),
    ('com.zhiliaoapp.musically', 'social', 'tiktok'),
    ('org.telegram.messenger', 'social', 'telegram'),
    -- A click in somebody's mailbox is a click in a mail.
    ('com.google.android.gm', 'email', 'gmail'),
    ('mail.google.com', 'email', 'gmail'),
    ('mail.yahoo.com', 'email', 'yahoo mail'),
    ('outlook.live.com', 'email', 'outlook'),
    ('outlook.office.com', 'email', 'outlook'),
    ('outlook.office365.com', 'email', 'outlook')
)
select
    listed.source,
    lists.category,
    case listed.source
        when 'fb' then 'facebook'
        when 'ig' then 'instagram'
        when 'lnkd.in' then 'linkedin'
        when 't.co' then 'twitter'
        when 't.me' then 'telegram'
        when 'bsky.app' then 'bluesky'
        else listed.source
    end as name
from lists
cross join lateral regexp_split_to_table(btrim(lists.sources, E' \n'), '\s+') as listed (source)
union all
select source, category, name
from aliases
